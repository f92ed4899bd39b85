"""What the system says where the data folder cannot be used, for people."""

import errno

from .wording import say

# In the system's own words, which are what an administrator looks up.
REASONS = {
    errno.EACCES: say("Permission denied"),
    errno.EDQUOT: say("Disk quota exceeded"),
    errno.EFBIG: say("File too large"),
    errno.EIO: say("Input/output error"),
    errno.EMFILE: say("Too many open files"),
    errno.ENOENT: say("No such file or directory"),
    errno.ENOSPC: say("No space left on device"),
    errno.ENOTDIR: say("Not a directory"),
    errno.EPERM: say("Operation not permitted"),
    errno.EROFS: say("Read-only file system"),
}


def reason_of(error: OSError) -> str:
    """Return in a few words why something could not be written or read."""
    return REASONS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
