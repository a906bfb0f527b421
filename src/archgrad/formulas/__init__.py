"""Mathematics that several components, or components and diagnostics, share: functions of tensors and groups."""
