"""Every error of ml_release, one tree.

::

    MlReleaseError
    ├── DeclarationError     what an author declared makes no sense (line, policy, declared state)
    ├── InputError           data, an argument or a request cannot be used as it is
    │   └── NotFoundError    the named thing does not exist
    ├── RefusedError         a gate or a policy says no; nothing was changed
    │   └── StaleWriteError  somebody else wrote first; read again and decide again
    ├── IntegrityError       content does not have the digest it was declared with
    └── UnavailableError     something outside cannot answer; trying again may help
        └── LogFullError     the inference log has no room left, on the disk or in its bounds

A class stands here only where a caller acts differently. A failed gate is a verdict, not an
exception; `RefusedError` is what an *act* raises when the verdict it re-reads does not pass.
A message names the subject, what was expected, what was found, and what to do.
"""


class MlReleaseError(Exception):
    """Anything ml_release raises on purpose."""


class DeclarationError(MlReleaseError):
    """A declaration makes no sense. The author has to change it."""


class InputError(MlReleaseError):
    """Data, an argument or a request cannot be used as it is."""


class NotFoundError(InputError):
    """The named thing does not exist."""


class RefusedError(MlReleaseError):
    """A gate or a policy refused the act. Nothing was changed."""


class StaleWriteError(RefusedError):
    """The state to be replaced is not the state the writer had read."""


class IntegrityError(MlReleaseError):
    """Content does not have the digest it was declared with."""


class UnavailableError(MlReleaseError):
    """Something outside could not answer. Trying again may help."""


class LogFullError(UnavailableError):
    """The inference log has no room left, on the disk or in its declared bounds."""
