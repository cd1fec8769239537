"""A double of Azure ML's cloud service, for tests with the real SDK.

It was written from the REST contract of the SDK alone: what the SDK sends, and what it needs back.
Where the real service is known only from hearsay (limits, conflicts, error texts), the double takes
the stricter side.
"""

from .double import AzureMLDouble
from .faults import Fault
from .messages import RequestRecord

__all__ = ["AzureMLDouble", "Fault", "RequestRecord"]
