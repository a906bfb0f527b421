"""The methods of the literature as compositions, one short function each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any, Literal

from archgrad.anneal import Anneal
from archgrad.discretise import BestOfRandom, EdgeNormalised, Perturbation, SkipLimit, Threshold
from archgrad.errors import ArchgradError, unknown
from archgrad.gradient import (
    Adversarial,
    Fixed,
    FlatMinima,
    ImplicitGradient,
    LayerAlignment,
    Perturbed,
    RobustValidation,
    SingleLevel,
    Unrolled,
)
from archgrad.method import AlphaOptimiser, Method, WeightOptimiser
from archgrad.modifiers import (
    AuxiliarySkip,
    DropPath,
    EdgeNormalisation,
    LowRank,
    OperationAttention,
    OperationDropout,
    PartialChannels,
    WeightEntanglement,
)
from archgrad.regularisers import BetaDecay, DirichletAnchor, ZeroOne
from archgrad.relaxation import (
    Dirichlet,
    GumbelSoftmax,
    RandomPath,
    ReinMax,
    Sigmoid,
    StraightThroughGumbel,
)
from archgrad.schedules import (
    EarlyStop,
    OperationFreeze,
    ProgressiveDepth,
    ProgressivePruning,
    WarmUp,
)

BENCHMARK = WeightOptimiser(weight_decay=5e-4, nesterov=True)
"""The weights' optimiser of the searches of NAS-Bench-201 itself, arXiv 2001.00326."""

recommended = "beta_darts"
"""What a search takes where no method is named; docs/studies/search_worth.md has the test that it won."""


def _no_space(space: str) -> bool:
    """Whether that is a network of one's own: without a name in Python, ``module:name`` on the command line."""
    return not space or ":" in space


def _own(space: str, epochs: int = 100) -> Method:
    """DARTS as the programs of later methods run it on NAS-Bench-201: with the settings of the DARTS space."""
    return Method("darts", epochs=epochs) if space == "nasbench201" else darts(space)


def _without_none(space: str) -> tuple[str, ...]:
    """What many programs leave out of the DARTS space; NAS-Bench-201 has ``none`` in all of them, and it may win."""
    return ("none",) if space.startswith("darts") else ()


def darts(space: str = "darts") -> Method:
    """DARTS, first order: softmax mixture, alternating steps on two halves of the training set.

    *Source:* arXiv 1806.09055: 97.00 ± 0.14 % on CIFAR-10; NAS-Bench-201 (arXiv 2001.00326): 54.30 %.
    """
    if space == "nasbench201":
        return Method("darts", weight_optimiser=BENCHMARK, order="weights-first")
    return Method("darts")


def darts_second_order(space: str = "darts", exact: bool = False) -> Method:
    """DARTS, second order: the gradient of alphas looks through one step of the weights.

    *Source:* arXiv 1806.09055: 97.24 ± 0.09 % on CIFAR-10.
    """
    gradient = Unrolled(second_order="exact" if exact else "finite-difference")
    return replace(darts(space), name="darts_second_order", architecture_gradient=gradient, order="alphas-first")


def random_search(space: str = "darts", candidates: int = 100) -> Method:
    """Random search with weight sharing, at the budget of a search.

    Every step trains the supernet's weights on the path of one genotype drawn uniformly; at the end the best of
    ``candidates`` drawn genotypes by validation score with those weights is kept. No genotype is trained by itself
    and no proxy is used.

    *Source:* Li and Talwalkar, arXiv 1902.07638: 97.15 ± 0.08 % on CIFAR-10 (DARTS space).
    """
    return replace(
        darts(space),
        name="random_search",
        relaxation=RandomPath(),
        architecture_gradient=Fixed(),
        discretisation=BestOfRandom(candidates),
        epochs=250 if space == "nasbench201" else 100,
    )


def random_genotype(space: str = "darts") -> Method:
    """The baseline of all searches: a genotype drawn uniformly, without any training."""
    return replace(random_search(space, candidates=1), name="random_genotype", epochs=0)


def single_level(space: str = "darts") -> Method:
    """DARTS with one loss: alphas and weights are both trained on the training batch.

    *Source:* arXiv 1806.09055, section 3.3: 96.44 ± 0.10 % on CIFAR-10.
    """
    return replace(darts(space), name="single_level", architecture_gradient=SingleLevel())


def snas(space: str = "darts") -> Method:
    """SNAS: Gumbel-softmax mixtures whose temperature falls from 1 to 0.03, alphas and weights on one loss, drop-path.

    On NAS-Bench-201 as in the program of DrNAS, from which its 92.77 ± 0.83 % come: two losses, and a temperature that
    falls from 10 to 1.

    *Source:* arXiv 1812.09926: 97.15 ± 0.02 % on CIFAR-10; 150 epochs. *Differs:* that figure is of a search with a
    penalty on size, FLOPs and memory accesses (`Cost` has the first two), whose program trains on all images and keeps
    every edge of a cell. On one GPU it moves alphas by SGD; Adam is that of its distributed runs.
    """
    if space == "nasbench201":
        return replace(_own(space), name="snas", relaxation=GumbelSoftmax(Anneal(10.0, 1.0, over="length")))
    base = single_level(space)
    return replace(
        base,
        name="snas",
        relaxation=GumbelSoftmax(),
        modifiers=(DropPath(0.3),),
        alpha_optimiser=replace(base.alpha_optimiser, start=1e-2),
        epochs=150,
    )


def gdas(space: str = "darts", unselected: Literal["none", "constant"] = "none") -> Method:
    """GDAS: one sampled operation per edge and step, the temperature falling from 10 to 0.1.

    The 93.51 % are of a program that adds what was not sampled as constants: ``unselected="constant"``.

    *Source:* arXiv 1910.04465: 97.07 % on CIFAR-10; NAS-Bench-201 (arXiv 2001.00326): 93.51 ± 0.13 %; 250 epochs.
    """
    return replace(
        darts(space),
        name="gdas",
        relaxation=StraightThroughGumbel(unselected=unselected),
        weight_optimiser=BENCHMARK,
        order="weights-first",
        epochs=250,
        batch_size=64 if space == "nasbench201" else 256,
    )


def reinmax(space: str = "darts") -> Method:
    """GDAS' sampled operations with ReinMax' second-order gradient of the sample.

    *Source:* the estimator is arXiv 2304.08612, which does not report a search; settings as `gdas`.
    """
    return replace(gdas(space), name="reinmax", relaxation=ReinMax())


def fair_darts(space: str = "darts") -> Method:
    """FairDARTS: independent sigmoids that a regulariser pushes to 0 or 1, settled by a threshold.

    *Source:* arXiv 1911.12126: 97.46 % on CIFAR-10 (FairDARTS-a), without ``none``.
    """
    base = darts(space)
    if space != "nasbench201":
        base = replace(base, weight_optimiser=WeightOptimiser(lr=0.005), batch_size=128)
    return replace(
        base,
        name="fair_darts",
        alpha_optimiser=AlphaOptimiser(lr=3e-3, betas=(0.9, 0.999), start=0.0),
        order="alphas-first",
        relaxation=Sigmoid(),
        regularisers=(ZeroOne(),),
        discretisation=Threshold(),
        without=_without_none(space),
    )


def beta_darts(space: str = "darts") -> Method:
    """β-DARTS: the softmax' log-sum is held down more and more, so that the weights stay close to each other.

    *Source:* arXiv 2203.01665: 97.47 ± 0.08 % on CIFAR-10; NAS-Bench-201: 94.36 %.
    """
    return replace(_own(space), name="beta_darts", regularisers=(BetaDecay(),), without=_without_none(space))


def idarts(space: str = "darts", terms: int = 3) -> Method:
    """iDARTS: the gradient of alphas by the implicit function theorem, its inverse Hessian as a Neumann series.

    *Source:* arXiv 2106.10784: 97.63 ± 0.03 % on CIFAR-10; NAS-Bench-201: 93.58 ± 0.32 %. *Differs:* the program makes
    four steps of the weights for one of the alphas, on copies of them, and leaves in the weights what it added to them
    for its finite difference.
    """
    base = darts(space)
    if space == "nasbench201":
        base = replace(base, weight_optimiser=replace(BENCHMARK, lr=0.01), epochs=30)
    return replace(base, name="idarts", architecture_gradient=ImplicitGradient(terms))


def pc_darts(space: str = "darts", share: int = 4) -> Method:
    """PC-DARTS: operations see one in ``share`` channels, edges have weights of their own, weights are trained first.

    *Source:* arXiv 1907.05737: 97.43 ± 0.07 % on CIFAR-10; NAS-Bench-201 (arXiv 2009.01027, table 4): 93.41 ± 0.30 %.
    The latter is of the program of DrNAS, which trains no weights first there.
    """
    base, small = _own(space), space == "nasbench201"
    if not small:
        base = replace(
            base,
            batch_size=256,
            weight_optimiser=WeightOptimiser(lr=0.1, lr_min=0.0),
            alpha_optimiser=AlphaOptimiser(lr=6e-4),
        )
    return replace(
        base,
        name="pc_darts",
        modifiers=(PartialChannels(share), EdgeNormalisation()),
        schedules=() if small else (WarmUp(15),),
        discretisation=EdgeNormalised(),
    )


def p_darts(space: str = "darts") -> Method:
    """P-DARTS: three searches in a row, deeper and with fewer candidates each, with dropout on skip connections.

    *Source:* arXiv 1904.12760: 97.50 % on CIFAR-10. On NAS-Bench-201, where it was not published, the stages have 1, 3
    and 5 cells and 5, 4 and 3 candidates.
    """
    small = space == "nasbench201"
    depth = ProgressiveDepth((1, 3, 5), (5, 4, 3)) if small else ProgressiveDepth()
    base = darts(space)
    return replace(
        base,
        batch_size=64 if small else 96,
        alpha_optimiser=AlphaOptimiser(lr=6e-4, clip=5.0),
        order="alphas-first",
        weight_optimiser=replace(base.weight_optimiser, lr_min=0.0),
        name="p_darts",
        modifiers=(OperationDropout(),),
        schedules=(depth,),
        discretisation=SkipLimit(),
        epochs=75,
    )


def drnas(space: str = "darts", shares: tuple[int, int] = (6, 4), anchor: Literal["l2", "kl"] = "l2") -> Method:
    """DrNAS: Dirichlet mixtures; in DARTS spaces half of the candidates are dropped half-way, on more channels then.

    A network of one's own is searched as NAS-Bench-201 is, by Dirichlet mixtures alone.

    ``shares``: K of the partial channels before and after, published for 36 channels and 20 cells. ``anchor``: what
    holds the alphas near those of the uniform distribution; ``"l2"``: Adam's weight decay, as in the published
    commands; ``"kl"``: the divergence of the paper (`DirichletAnchor`), and no decay.

    *Source:* arXiv 2006.10355: 97.46 ± 0.03 % on CIFAR-10; NAS-Bench-201: 94.36 ± 0.00 %. *Differs:* the paper has 6
    and 3 for K, its program 6 and 4.
    """
    small = space == "nasbench201" or _no_space(space)
    optimiser = AlphaOptimiser(lr=3e-4 if small else 6e-4)
    base = replace(
        _own(space),
        name="drnas",
        relaxation=Dirichlet(),
        alpha_optimiser=optimiser if anchor == "l2" else replace(optimiser, weight_decay=0.0),
        regularisers=() if anchor == "l2" else (DirichletAnchor(),),
        without=_without_none(space),
    )
    if small:
        return base
    return replace(
        base,
        modifiers=(PartialChannels(shares[0]),),
        schedules=(ProgressivePruning(shares=(shares[1],), warm_up=0.4),),
        weight_optimiser=WeightOptimiser(lr=0.1, lr_min=0.0),
    )


def sdarts_random(space: str = "darts") -> Method:
    """SmoothDARTS, random: the weights are trained at mixtures with uniform noise.

    *Source:* arXiv 2002.05283: 97.33 ± 0.03 % on CIFAR-10.
    """
    gradient = Perturbed("random")
    return replace(_own(space), name="sdarts_random", weight_gradient=gradient, without=_without_none(space))


def sdarts_adversarial(space: str = "darts") -> Method:
    """SmoothDARTS, adversarial: the weights are trained at the worst mixtures in a neighbourhood.

    *Source:* arXiv 2002.05283: 97.39 ± 0.02 % on CIFAR-10.
    """
    gradient = Perturbed("adversarial")
    return replace(_own(space), name="sdarts_adversarial", weight_gradient=gradient, without=_without_none(space))


def r_darts_l2(space: str = "darts", decay: float = 27e-4) -> Method:
    """R-DARTS, L2: DARTS of second order with a strong weight decay of the supernet's weights.

    ``decay``: one of the published 3e-4 times 1, 3, 9, 27 and 81, each a search of its own, of which the best by
    validation counts. `WeightDecayRamp` would climb them in one search.

    *Source:* arXiv 1909.09656: 97.05 ± 0.21 % on CIFAR-10 (DARTS space), the best of four searches.
    """
    base = darts_second_order(space)
    return replace(base, name="r_darts_l2", weight_optimiser=replace(base.weight_optimiser, weight_decay=decay))


def r_darts_dp(space: str = "darts", rate: float = 0.2) -> Method:
    """R-DARTS, drop-path: DARTS of second order whose edges are dropped more and more often, up to ``rate``.

    *Source:* arXiv 1909.09656; its table 4 has this variant on S1 to S4, where it gains most. *Differs:* its program
    also cuts squares of 16 pixels out of more and more images, up to all.
    """
    return replace(darts_second_order(space), name="r_darts_dp", modifiers=(DropPath(Anneal(0.0, rate)),))


def darts_es(space: str = "darts") -> Method:
    """DARTS-ES: the search stops when the dominant eigenvalue of the architecture Hessian rises, and goes back.

    *Source:* arXiv 1909.09656, section 4.3, with its results on S1 to S4.
    """
    return replace(darts_second_order(space), name="darts_es", schedules=(EarlyStop(eigenvalue=1.3),))


def darts_plus(space: str = "darts") -> Method:
    """DARTS+: the search stops at two skip connections in the normal cell, or when the ranking has settled.

    *Source:* arXiv 1909.06035: 97.68 % on CIFAR-10 (its best).
    """
    return replace(darts(space), name="darts_plus", schedules=(EarlyStop(skips=2, stable=10),))


def darts_minus(space: str = "darts") -> Method:
    """DARTS−: an auxiliary skip connection beside every edge, which fades.

    *Source:* arXiv 2009.01027: 97.41 ± 0.08 % on CIFAR-10; NAS-Bench-201: 93.80 ± 0.40 %.
    """
    return replace(_own(space, epochs=50), name="darts_minus", modifiers=(AuxiliarySkip(),))


def oles(space: str = "darts") -> Method:
    """OLES: operations whose training and validation gradients no longer agree are frozen.

    *Source:* operation-level early stopping, NeurIPS 2023: 97.70 % on CIFAR-10.
    """
    return replace(darts(space), name="oles", schedules=(OperationFreeze(),))


def darts_pt(space: str = "darts", tune: int = 5) -> Method:
    """DARTS-PT: the supernet of DARTS, which keeps the candidates that its score needs most.

    *Source:* arXiv 2108.04392: 97.39 ± 0.08 % on CIFAR-10; NAS-Bench-201: 88.11 %.
    """
    return replace(_own(space), name="darts_pt", discretisation=Perturbation(tune), without=_without_none(space))


def darts_pt_fixed(space: str = "darts", tune: int = 5) -> Method:
    """DARTS-PT with alphas that are never trained: a supernet at its uniform start, settled by its accuracy alone.

    *Source:* arXiv 2108.04392, where it is the ablation that finds trained alphas unnecessary; in the published program
    the alphas of the method ``blank``.
    """
    return replace(darts_pt(space, tune), name="darts_pt_fixed", architecture_gradient=Fixed())


def lora_darts(space: str = "darts", rank: int = 4) -> Method:
    """DARTS whose candidates are adapted by low-rank factors after a warm-up at full rank.

    *Source:* a component of confopt (arXiv 2507.16533), after LoRA, arXiv 2106.09685; no search is published.
    """
    return replace(darts(space), name="lora_darts", modifiers=(LowRank(rank),))


def weight_entangled(space: str = "darts") -> Method:
    """DARTS whose smaller kernels are slices of the largest, mixed and convolved once.

    *Source:* TangleNAS, arXiv 2312.10440; here with the scale behind the batch normalisation (`WeightEntanglement`).
    """
    return replace(darts(space), name="weight_entangled", modifiers=(WeightEntanglement(),))


def attention_darts(space: str = "darts") -> Method:
    """DARTS with a mixture that depends on the image, less and less over the search.

    *Source:* a component of confopt (arXiv 2507.16533), "dynamic exploration"; no search is published.
    """
    return replace(darts(space), name="attention_darts", modifiers=(OperationAttention(),))


def robust_darts(space: str = "darts") -> Method:
    """DARTS on attacked images: weights are trained, and alphas chosen, for robust accuracy.

    *Source:* adversarial training of a supernet as in RobNet, arXiv 1911.10695, here with DARTS' gradient of alphas.
    """
    return replace(
        darts(space),
        name="robust_darts",
        weight_gradient=Adversarial(),
        architecture_gradient=RobustValidation(),
    )


def lambda_darts(space: str = "darts") -> Method:
    """Λ-DARTS: the weights are regularised so that the cells agree on the gradient of the mixture.

    λ is 0.125 for CIFAR in DARTS spaces, and 0.25 on NAS-Bench-201, where 0.125 is the default of the program's parser
    and 0.25 what its script sets.

    *Source:* arXiv 2210.07998: 97.48 ± 0.11 % on CIFAR-10; in DARTS spaces normal cells only, without ``none``.
    """
    groups = ("normal",) if space.startswith("darts") else None
    if space == "nasbench201":
        base = replace(_own(space), alpha_optimiser=AlphaOptimiser(lr=1e-4), order="weights-first")
        return replace(base, name="lambda_darts", weight_gradient=LayerAlignment(strength=0.25, groups=groups))
    return replace(
        darts(space),
        name="lambda_darts",
        weight_gradient=LayerAlignment(groups=groups),
        batch_size=96,
        without=_without_none(space),
    )


def a2m(space: str = "darts", base: str | Method = "darts", rho: float | None = None) -> Method:
    """A²M: any method with its gradient of alphas replaced by that of the loss after one step up (flat minima).

    ``rho``: length of that step; 1e-2 on NAS-Bench-201 and 1e-1 elsewhere by default, as published. All else is of the
    base; ``"darts"`` is on NAS-Bench-201 as the program of A²M has it, with the settings of the DARTS space.

    *Source:* arXiv 2503.10404: 97.27 % on CIFAR-10 (mean of five seeds, DARTS 97.10 %); NAS-Bench-201: 92.39 ± 0.59 %.
    """
    if base == "darts":
        method = replace(_own(space, epochs=50), without=_without_none(space))
    else:
        method = get(base, space) if isinstance(base, str) else base
    rho = (1e-2 if space == "nasbench201" else 1e-1) if rho is None else rho
    gradient = FlatMinima(rho, base=method.architecture_gradient)
    published_as = method.published_as or method.name
    return replace(method, name=f"a2m({method.name})", architecture_gradient=gradient, published_as=published_as)


METHODS: dict[str, Callable[..., Method]] = {
    made.__name__: made
    for made in (
        darts,
        darts_second_order,
        single_level,
        snas,
        gdas,
        reinmax,
        fair_darts,
        beta_darts,
        idarts,
        pc_darts,
        p_darts,
        drnas,
        sdarts_random,
        sdarts_adversarial,
        r_darts_l2,
        r_darts_dp,
        darts_es,
        darts_plus,
        darts_minus,
        oles,
        darts_pt,
        darts_pt_fixed,
        lora_darts,
        weight_entangled,
        attention_darts,
        robust_darts,
        lambda_darts,
        a2m,
        random_search,
        random_genotype,
    )
}

ENTRY_POINTS = "archgrad.methods"
"""Packages may add methods under this entry-point group: a function that returns a `Method`."""


def names() -> list[str]:
    """The methods of the library and of installed plug-ins."""
    return [*METHODS, *(entry.name for entry in entry_points(group=ENTRY_POINTS))]


def function(name: str) -> Callable[..., Method]:
    """The function that makes the method of that name; its docstring says what the method is."""
    if name in METHODS:
        return METHODS[name]
    plugins = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in plugins:
        raise unknown("method", name, [*METHODS, *plugins])
    try:
        loaded: Callable[..., Method] = plugins[name].load()
    except Exception as error:  # whatever the import of a stranger's module raises
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArchgradError(f"method {name!r}: its plug-in {plugins[name].value} cannot be imported ({why})") from error
    return loaded


def get(name: str, space: str = "darts", **options: Any) -> Method:
    """The method of that name with its published settings for a space."""
    make = function(name)
    known = inspect.signature(make).parameters
    if "space" in known:
        options["space"] = space
    if extra := set(options) - set(known):
        raise ArchgradError(f"method {name!r} has no option {sorted(extra)[0]!r}; it has {sorted(known)}")
    made = make(**options)
    return made if made.published_as else replace(made, published_as=name)
