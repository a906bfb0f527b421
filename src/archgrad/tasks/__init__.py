"""Tasks: what a network is trained for, how its answers are judged, and what data that needs."""

from archgrad.tasks.classification import Classification
from archgrad.tasks.multi_label import MultiLabel
from archgrad.tasks.next_token import NextToken
from archgrad.tasks.reading import Reading
from archgrad.tasks.regression import Regression
from archgrad.tasks.segmentation import Segmentation
from archgrad.tasks.task import Task, widened

__all__ = ["Classification", "MultiLabel", "NextToken", "Reading", "Regression", "Segmentation", "Task", "widened"]
