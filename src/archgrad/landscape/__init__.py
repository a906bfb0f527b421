"""The geometry of architecture spaces: neighbourhoods, paths, walks, optima and clusters."""

from archgrad.figures.files import save
from archgrad.landscape.clusters import Clustering, clustering
from archgrad.landscape.embedding import embed
from archgrad.landscape.figures import neighbour_histogram, path_profiles, space_map
from archgrad.landscape.neighbourhood import Neighbourhood, between, neighbourhood
from archgrad.landscape.optima import Optima, local_optima
from archgrad.landscape.paths import Paths, barrier, shortest_paths
from archgrad.landscape.published import ENDPOINTS, GROUPS
from archgrad.landscape.sampling import sample_neighbours
from archgrad.landscape.surface import Source, Surface
from archgrad.landscape.walks import autocorrelation, correlation_length, exact_autocorrelation, random_walks

__all__ = [
    "ENDPOINTS",
    "GROUPS",
    "Clustering",
    "Neighbourhood",
    "Optima",
    "Paths",
    "Source",
    "Surface",
    "autocorrelation",
    "barrier",
    "between",
    "clustering",
    "correlation_length",
    "embed",
    "exact_autocorrelation",
    "local_optima",
    "neighbour_histogram",
    "neighbourhood",
    "path_profiles",
    "random_walks",
    "sample_neighbours",
    "save",
    "shortest_paths",
    "space_map",
]
