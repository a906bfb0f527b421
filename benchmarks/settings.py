"""The table of published settings in docs/methods.md: what `archgrad.methods` has, and where it was read.

    python benchmarks/settings.py

Sources name a repository and files of it, with lines as of November 2026; nothing of these programs is copied.
"""

from __future__ import annotations

from archgrad import methods
from archgrad.alpha_lr import alpha_epochs
from archgrad.gradient import Fixed

SOURCES: dict[tuple[str, str], tuple[str, str]] = {
    ("darts", "darts"): (
        "darts",
        "quark0/darts cnn/train_search.py:23-43, cnn/architect.py:17-18",
    ),
    ("darts", "nasbench201"): (
        "nasbench201",
        "D-X-Y/AutoDL-Projects configs/nas-benchmark/algos/DARTS.config; "
        "scripts-search/NAS-Bench-201-algos/DARTS-V1.sh (a_lr 3e-4, a_decay 1e-3); "
        "exps/NAS-Bench-201-algos/DARTS-V1.py:52-73 order, :194 Adam, :383 clip",
    ),
    ("darts_second_order", "darts"): (
        "darts",
        "quark0/darts cnn/train_search.py --unrolled; cnn/architect.py r=1e-2",
    ),
    ("darts_second_order", "nasbench201"): (
        "nasbench201",
        "D-X-Y DARTS.config + DARTS-V2.sh; exps/NAS-Bench-201-algos/DARTS-V2.py:141,161 (alphas first)",
    ),
    ("single_level", "darts"): (
        "darts",
        "arXiv 1806.09055 section 3.3 (no program)",
    ),
    ("single_level", "nasbench201"): (
        "nasbench201",
        "not published: as `darts`",
    ),
    ("snas", "darts"): (
        "darts",
        "SNAS-Series/SNAS-Series SNAS/train_search.py:31-44, SNAS/README.md (--temp 1 --temp_min 0.03 "
        "--temp_annealing); SNAS/utils.py:140-148",
    ),
    ("snas", "nasbench201"): (
        "nasbench201",
        "xiangning-chen/DrNAS 201-space/train_search.py:34-55 (method snas), the source of 92.77 ± 0.83; "
        "AlphaOptimiser of architect.py",
    ),
    ("gdas", "darts"): (
        "darts",
        "D-X-Y configs/search-opts/GDAS-NASNet-CIFAR.config, "
        "configs/search-archs/GDAS-NASNet-CIFAR.config, scripts-search/NASNet-space-search-by-GDAS.sh",
    ),
    ("gdas", "nasbench201"): (
        "nasbench201",
        "D-X-Y configs/nas-benchmark/algos/GDAS.config; scripts-search/NAS-Bench-201-algos/GDAS.sh; GDAS.py:50-69,:237",
    ),
    ("reinmax", "darts"): (
        "darts",
        "not published: as `gdas`",
    ),
    ("reinmax", "nasbench201"): (
        "nasbench201",
        "not published: as `gdas`",
    ),
    ("fair_darts", "darts"): (
        "darts",
        "xiaomi-automl/FairDARTS fairdarts/train_search.py:23-48,:96; README 'Run Search' "
        "(--aux_loss_weight 10 --learning_rate 0.005 --batch_size 128 --parse_method threshold_sparse)",
    ),
    ("fair_darts", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("beta_darts", "darts"): (
        "darts",
        "Sunshine-Ye/Beta-DARTS sota/cnn/train_search.py:34-57, optimizers/darts/architect.py:18-20,:81; "
        "sota/cnn/spaces.py 'none' commented out",
    ),
    ("beta_darts", "nasbench201"): (
        "nasbench201",
        "Sunshine-Ye/Beta-DARTS nasbench201/train_search.py:33-55, README 'python ./nasbench201/train_search.py'",
    ),
    ("idarts", "darts"): (
        "darts",
        "MiaoZhang0525/iDARTS has NAS-Bench-201 and 1Shot1 only; DARTS-space settings from the paper's "
        "text not readable here: as darts_second_order",
    ),
    ("idarts", "nasbench201"): (
        "nasbench201",
        "MiaoZhang0525/iDARTS NAS_Bench201_codes/exps/algos/iDARTS_V2.ipynb cell 2 and 4 (config "
        "DARTS_wlr0p01: NAS_Bench201_codes/configs/nas-benchmark/algos/DARTS.config: LR 0.01, epochs 30)",
    ),
    ("pc_darts", "darts"): (
        "darts",
        "yuhuixu1993/PC-DARTS train_search.py:24-44,:156, architect.py:17-18",
    ),
    ("pc_darts", "nasbench201"): (
        "nasbench201",
        "93.41 ± 0.30 is of DrNAS' README/table (201-space/train_search.py, method darts with --k); no "
        "command published; AI-Tech-Research-Lab/AsquaredM scripts/pcdarts-nasbench-search.sh for A2M: "
        "64, 50 epochs, a_lr 3e-4, wd 3e-4",
    ),
    ("p_darts", "darts"): (
        "darts",
        "chenxin061/pdarts train_search.py:23-45,:120-199; README.md:57-64",
    ),
    ("p_darts", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("drnas", "darts"): (
        "darts",
        "xiangning-chen/DrNAS DARTS-space/train_search.py:25-46,:119-160,:182; genotypes.py:5-14 (no none)",
    ),
    ("drnas", "nasbench201"): (
        "nasbench201",
        "xiangning-chen/DrNAS 201-space/train_search.py:34-59,:136-151; progressive: "
        "train_search_progressive.py (50+50, K 4->2, keep 5->3, 10 epochs of weights first in each)",
    ),
    ("sdarts_random", "darts"): (
        "darts",
        "xiangning-chen/SmoothDARTS sota/cnn/train_search.py:34-57,:170; attacker/perturb.py; "
        "sota/cnn/spaces.py ('none' commented out)",
    ),
    ("sdarts_random", "nasbench201"): (
        "nasbench201",
        "xiangning-chen/SmoothDARTS nasbench201/train_search.py:34-56,:170",
    ),
    ("sdarts_adversarial", "darts"): (
        "darts",
        "xiangning-chen/SmoothDARTS sota/cnn/train_search.py:34-57,:170; attacker/perturb.py; "
        "sota/cnn/spaces.py ('none' commented out)",
    ),
    ("sdarts_adversarial", "nasbench201"): (
        "nasbench201",
        "xiangning-chen/SmoothDARTS nasbench201/train_search.py:34-56,:170",
    ),
    ("r_darts_l2", "darts"): (
        "robust_darts_s1 to _s4",
        "automl/RobustDARTS src/search/args.py:29-75, train_search.py:98-116,:372-401, "
        "src/utils.py:31-150, scripts/DARTS_search.sh (--unrolled --cutout), scripts/start_search.sh",
    ),
    ("r_darts_l2", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("r_darts_dp", "darts"): (
        "robust_darts_s1 to _s4",
        "automl/RobustDARTS src/search/args.py:29-75, train_search.py:98-116,:372-401, "
        "src/utils.py:31-150, scripts/DARTS_search.sh (--unrolled --cutout), scripts/start_search.sh",
    ),
    ("r_darts_dp", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("darts_es", "darts"): (
        "robust_darts_s1 to _s4",
        "automl/RobustDARTS src/search/args.py:29-75, train_search.py:98-116,:372-401, "
        "src/utils.py:31-150, scripts/DARTS_search.sh (--unrolled --cutout), scripts/start_search.sh",
    ),
    ("darts_es", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("darts_plus", "darts"): (
        "darts",
        "arXiv 1909.06035 (no program published)",
    ),
    ("darts_plus", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("darts_minus", "darts"): (
        "robust_darts_s1 to _s4",
        "Meituan-AutoML/DARTS- src/search/args.py:28-82, src/utils.py:171-192, scripts/run_darts_minus.sh "
        "(beta 1, decay linear), src/spaces.py",
    ),
    ("darts_minus", "nasbench201"): (
        "nasbench201",
        "no program of the authors for NAS-Bench-201; A2M's reproduction "
        "scripts/dartsminus-nasbench-search.sh (64, 50 epochs, a_lr 3e-4, wd 3e-4)",
    ),
    ("oles", "darts"): (
        "darts",
        "PasaLab/oles train_search.py:27-50,:171-272, architect.py:32",
    ),
    ("oles", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("darts_pt", "darts"): (
        "darts",
        "ruocwang/darts-pt sota/cnn/train_search.py:37-85, sota/cnn/projection.py:97-248, "
        "exp_scripts/darts-proj-sota.sh; spaces.py 'none' commented out",
    ),
    ("darts_pt", "nasbench201"): (
        "nasbench201",
        "ruocwang/darts-pt nasbench201/train_search.py:36-67, nasbench201/projection.py:60-117, "
        "exp_scripts/darts-proj-201.sh (resume_epoch 100)",
    ),
    ("darts_pt_fixed", "darts"): (
        "darts",
        "ruocwang/darts-pt exp_scripts/blank-sota.sh, architect_ig.py:24-26,:38 (method blank: alphas never moved)",
    ),
    ("darts_pt_fixed", "nasbench201"): (
        "nasbench201",
        "ruocwang/darts-pt exp_scripts/blank-201.sh, blank-proj-201.sh",
    ),
    ("lora_darts", "darts"): (
        "darts",
        "not published: as `darts`",
    ),
    ("lora_darts", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("weight_entangled", "darts"): (
        "darts",
        "not published: as `darts`",
    ),
    ("weight_entangled", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("attention_darts", "darts"): (
        "darts",
        "not published: as `darts`",
    ),
    ("attention_darts", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("robust_darts", "darts"): (
        "darts",
        "not published: as `darts`",
    ),
    ("robust_darts", "nasbench201"): (
        "nasbench201",
        "not published: the weights' settings of the benchmark, its own alphas",
    ),
    ("lambda_darts", "darts"): (
        "darts",
        "dr-faustus/Lambda-DARTS run_search.sh (batch 96; lambda .25, eps0 1e-3 for SVHN), "
        "sota/cnn/train_search.py:37-61 (defaults .125, 1e-4 for CIFAR), sota/cnn/spaces.py 'none' "
        "commented out",
    ),
    ("lambda_darts", "nasbench201"): (
        "nasbench201",
        "dr-faustus/Lambda-DARTS NAS-Bench201/scripts-search/algos/DARTS-V1.sh:34-47, "
        "NAS-Bench201/configs/nas-benchmark/algos/DARTS.config, exps/algos/DARTS-V1.py:134,:197,:272",
    ),
    ("a2m", "darts"): (
        "darts",
        "AI-Tech-Research-Lab/AsquaredM scripts/darts-search.sh (rho 1e-1, epsilon 1e-2), "
        "optimizers/darts/architect.py:271-357, sota/cnn/spaces.py 'none' commented out",
    ),
    ("a2m", "nasbench201"): (
        "nasbench201",
        "AI-Tech-Research-Lab/AsquaredM scripts/darts-nasbench-search.sh, train_search.py:441-466",
    ),
    ("random_search", "darts"): (
        "darts",
        "liamcli/randomNAS_release searchers/random_weight_share.py:144-172, :81-115",
    ),
    ("random_search", "nasbench201"): (
        "nasbench201",
        "D-X-Y configs/nas-benchmark/algos/RANDOM.config; scripts-search/NAS-Bench-201-algos/RANDOM-NAS.sh",
    ),
}
"""(method, space) → where it was searched as published, and the source of the settings."""


def row(name: str, space: str) -> str:
    """The settings of a method on a space, as a line of the table."""
    method = methods.get(name, space)
    weights, alphas = method.weight_optimiser, method.alpha_optimiser
    where, source = SOURCES[name, space]
    trained = not isinstance(method.architecture_gradient, Fixed)
    alone = method.epochs - alpha_epochs(method)
    clipped = "" if alphas.clip is None else f", clipped to {alphas.clip:g}"
    cells = [
        f"`{name}`",
        f"`{where}`",
        method.batch_size,
        f"{method.epochs}, {alone} of weights only" if alone else method.epochs,
        f"{weights.lr:g} → {weights.lr_min:g}",
        f"{weights.weight_decay:g}" + (", Nesterov" if weights.nesterov else ""),
        f"{alphas.lr:g}, {alphas.betas}, {alphas.weight_decay:g}" + clipped if trained else "–",
        method.order if trained else "–",
        "–" if "none" in method.without else "yes",
        source,
    ]
    return f"| {' | '.join(map(str, cells))} |"


def table() -> list[str]:
    """The lines of the table."""
    parts = ("weights' lr", "their decay", "alphas: lr, betas, decay")
    head = " | ".join(("method", "space", "batch", "epochs", *parts, "order", "`none`", "source"))
    return [f"| {head} |", "|---" * 10 + "|", *(row(*pair) for pair in SOURCES)]


if __name__ == "__main__":
    print(*table(), sep="\n")
