"""Files elsewhere (`s3://`, `gs://`, `https://` …): what an address names, and copies of it that are verified."""

from featreport.remote.address import Address, RemoteError, find, is_remote, shown
from featreport.remote.copies import Copies, checksum
from featreport.remote.together import together

__all__ = ["Address", "Copies", "RemoteError", "checksum", "find", "is_remote", "shown", "together"]
