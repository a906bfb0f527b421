"""Zero-cost proxies: scores of untrained networks."""

from archgrad.proxies.croze import CRoZe
from archgrad.proxies.croze_official import FlatCRoZe, OfficialCRoZe
from archgrad.proxies.ensemble import RobustEnsemble, robust_ensemble
from archgrad.proxies.epe_nas import EPENAS
from archgrad.proxies.fisher import Fisher
from archgrad.proxies.flops import FLOPs
from archgrad.proxies.grad_norm import GradNorm
from archgrad.proxies.grasp import GraSP
from archgrad.proxies.jacob_cov import JacobianCovariance
from archgrad.proxies.l2_norm import L2Norm
from archgrad.proxies.library import PROXIES, get, names, parse
from archgrad.proxies.nwot import NWOT
from archgrad.proxies.params import Parameters
from archgrad.proxies.plain import SynapticSaliency
from archgrad.proxies.proxy import Measurement, Proxy, measure
from archgrad.proxies.snip import SNIP
from archgrad.proxies.specimen import Specimen
from archgrad.proxies.synflow import SynFlow
from archgrad.proxies.zen import Zen

__all__ = [
    "EPENAS",
    "NWOT",
    "PROXIES",
    "SNIP",
    "CRoZe",
    "FLOPs",
    "Fisher",
    "FlatCRoZe",
    "GraSP",
    "GradNorm",
    "JacobianCovariance",
    "L2Norm",
    "Measurement",
    "OfficialCRoZe",
    "Parameters",
    "Proxy",
    "RobustEnsemble",
    "Specimen",
    "SynFlow",
    "SynapticSaliency",
    "Zen",
    "get",
    "measure",
    "names",
    "parse",
    "robust_ensemble",
]
