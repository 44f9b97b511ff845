from itertools import combinations

import pytest

from pipeline.batch import Outcome
from pipeline.cli.exit_codes import PRECEDENCE, ExitCode, exit_code_of
from pipeline.domain import errors

OF_ERROR = {
    KeyboardInterrupt(): 130,
    errors.LockHeld("x"): 75,
    errors.UsageError("x"): 2,
    errors.CredentialsError("x"): 3,
    errors.LocalIoError("x"): 11,
    errors.ServiceUnreachable("x"): 4,
    errors.ConnectionLost("x"): 4,
    errors.NeverSent("x"): 4,
    errors.Throttled("x"): 4,
    errors.ServiceFault("x"): 4,
    errors.CeilingReached("x", ceiling=3): 4,
    errors.UrlExpired("x"): 4,
    errors.AssetGone("x"): 4,
    errors.SubmissionUncertain("x"): 10,
    errors.PictureRefused("x"): 1,
    errors.RequestRefused("x"): 1,
    errors.JobFailed("x"): 1,
    errors.MeshDamaged("x"): 1,
    errors.StageTimedOut("x"): 1,
    errors.WorkerDied("x"): 1,
    ZeroDivisionError(): 70,
}

OF_OUTCOME = {
    Outcome(interrupted=True): 130,
    Outcome(uncertain=1): 10,
    Outcome(over_budget=1): 9,
    Outcome(out_of_time=1): 8,
    Outcome(failed=1): 1,
    Outcome(refused=1): 1,
    Outcome(held=1): 1,
    Outcome(unfinished=1): 1,
    Outcome(delivered=5): 0,
    Outcome(): 0,
}


@pytest.mark.parametrize(("error", "code"), OF_ERROR.items(), ids=repr)
def test_every_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_no_error_of_the_tree_is_taken_for_a_bug() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    bases = {errors.MvmeshError, errors.AbortRun}  # never raised themselves
    for kind in below(errors.MvmeshError) - bases:
        assert exit_code_of(kind.__new__(kind)) is not ExitCode.BUG, kind


@pytest.mark.parametrize(("outcome", "code"), OF_OUTCOME.items(), ids=repr)
def test_every_outcome_has_its_code(outcome: Outcome, code: int) -> None:
    assert exit_code_of(outcome) == code


def test_the_order_of_precedence_is_the_documented_one() -> None:
    assert [int(one) for one in PRECEDENCE if one is not ExitCode.BUG] == [130, 75, 2, 3, 11, 4, 10, 9, 8, 1, 0]
    assert set(PRECEDENCE) == set(ExitCode)


def test_of_several_errors_the_first_in_precedence_is_told() -> None:
    for one, other in combinations(OF_ERROR, 2):
        together = BaseExceptionGroup("two", [BaseExceptionGroup("inner", [one]), other])
        assert exit_code_of(together) == min(exit_code_of(one), exit_code_of(other), key=PRECEDENCE.index)


def test_of_several_troubles_of_an_outcome_the_first_in_precedence_is_told() -> None:
    fields = {"interrupted": True, "uncertain": 1, "over_budget": 1, "out_of_time": 1, "failed": 1}
    expected = [130, 10, 9, 8, 1]
    for at, code in enumerate(expected):
        later = dict(list(fields.items())[at:])
        assert exit_code_of(Outcome(delivered=3, **later)) == code
