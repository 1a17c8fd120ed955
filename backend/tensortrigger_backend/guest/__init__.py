"""What holds a guest process in: how it begins, and which files and system calls are left to it."""
