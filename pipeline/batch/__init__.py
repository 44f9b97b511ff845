"""From a manifest to meshes; the only writer of the ledger.

    plan -> price -> (a person says yes) -> carry_out -> rows

``batch`` is the run as a whole; ``survey`` says what is to be done, ``supply`` hands it out, also while the survey of a
large library goes on; ``publishing`` writes the results manifest and the report. ``flow`` brings one work item from
pictures to a delivered mesh, ``submissions`` the paid step of it; ``pool`` bounds how many are on their way;
``comparing`` holds back what contradicts itself; ``uploads`` and ``placing`` share what work items share; ``journal``
commits each move before the next effect.
"""

from pipeline.batch.batch import Batch
from pipeline.batch.outcome import Outcome
from pipeline.batch.terms import EMBEDDED, shelf_name

__all__ = ["EMBEDDED", "Batch", "Outcome", "shelf_name"]
