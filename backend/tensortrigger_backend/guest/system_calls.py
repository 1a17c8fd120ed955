"""Which system calls may a guest make? Those that compute, and those that touch files which Landlock judges.

A list of what is allowed, so that what a newer kernel adds is refused, and with it whatever goes by another number
(the x32 interface). There is no socket and no io_uring, so there is no network; nothing starts a process or another
program; nothing signals, traces, limits or reschedules any process but the own one; and nothing that Landlock does
not judge changes a file: no modes, owners, times, attributes or links.
"""

from __future__ import annotations

import errno

from seccompy import Action, CmpOp, Filter
from seccompy.syscalls import syscall_nr

_MEMORY = """
    brk mmap munmap mprotect mremap madvise mlock mlock2 munlock mincore msync mbind get_mempolicy set_mempolicy
    pkey_alloc pkey_free pkey_mprotect membarrier
"""
_THREADS = """
    futex futex_waitv futex_wait futex_wake futex_requeue set_robust_list get_robust_list set_tid_address rseq
    sched_yield sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    sched_rr_get_interval getcpu exit exit_group gettid getpid getppid getpgid getpgrp getsid arch_prctl
    wait4 waitid
"""
_SIGNALS = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall
    pause alarm setitimer getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
"""
_TIME = """
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage timerfd_create
    timerfd_settime timerfd_gettime
"""
_FILES = """
    open openat close close_range read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek
    sendfile splice tee copy_file_range stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2
    readlink readlinkat getcwd chdir fchdir getdents getdents64 mkdir mkdirat rmdir unlink unlinkat rename renameat
    renameat2 ftruncate fallocate fadvise64 readahead fsync fdatasync sync_file_range flock fcntl dup dup2 dup3
    pipe pipe2 poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2 umask
"""
_FACTS = """
    uname sysinfo getrandom getuid geteuid getgid getegid getgroups getresuid getresgid getrlimit getpriority capget
"""
ALLOWED = tuple(" ".join((_MEMORY, _THREADS, _SIGNALS, _TIME, _FILES, _FACTS)).split())

_REFUSED = """
    socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
    fork vfork execve execveat ptrace process_vm_readv process_vm_writev kill tkill rt_sigqueueinfo rt_tgsigqueueinfo
    pidfd_open pidfd_getfd pidfd_send_signal setrlimit setpriority sched_setaffinity sched_setscheduler sched_setparam
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat truncate
    setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr link linkat symlink symlinkat mknod mknodat
    open_by_handle_at name_to_handle_at mount umount2 pivot_root chroot unshare setns bpf perf_event_open userfaultfd
    io_uring_setup io_uring_enter io_uring_register memfd_create memfd_secret shmget shmat shmctl msgget semget mq_open
    add_key request_key keyctl setuid setgid setreuid setregid setresuid setresgid setgroups capset seccomp setsid
    setpgid personality inotify_init inotify_init1 fanotify_init quotactl reboot swapon init_module finit_module
    delete_module kexec_load syslog acct sethostname setdomainname settimeofday clock_settime adjtimex
    landlock_create_ruleset landlock_add_rule landlock_restrict_self ioctl prctl prlimit64 clone tgkill
"""
REFUSED = tuple(_REFUSED.split())
"""Answered "not permitted"; whatever is on neither list does not exist, so that libraries take an older way."""

_THREAD_FLAGS = 0x00010000 | 0x00000100 | 0x00000800  # CLONE_THREAD, CLONE_VM, CLONE_SIGHAND
_NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEW*
_HARMLESS_IOCTL = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451, 0x541B)
"""TCGETS and TIOCGWINSZ (is this a terminal?), FIONBIO, FIONCLEX, FIOCLEX, FIONREAD."""
_HARMLESS_PRCTL = (15, 16, 3, 21, 23, 39, 0x53564D41)
"""PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP, PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS, PR_SET_VMA."""
_SIGNALLING_FCNTL = (8, 10, 15, 1026)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX and F_NOTIFY make the kernel signal whom they name."""
_ACCESS_MODE_AND_TRUNCATE = 0o3 | 0o1000


def guest_filter(pid: int) -> Filter:
    """The filter for the guest of that process id; calls for a foreign architecture kill it.

    Raises:
        seccompy.UnsupportedError: neither x86-64 nor ARM 64.
    """
    guest = Filter(Action.ERRNO | errno.ENOSYS)
    # Before Landlock's third version a file opened for reading could be emptied on the way.
    truncates = (CmpOp.MASKED_EQ, 0o1000, _ACCESS_MODE_AND_TRUNCATE)
    for name, flags in (("open", 1), ("openat", 2)):
        if _exists(name):
            guest.errno(name, errno.EPERM, args=[(flags, *truncates)])
    for command in _SIGNALLING_FCNTL:
        guest.errno("fcntl", errno.EPERM, args=[(1, CmpOp.MASKED_EQ, command, 0xFFFFFFFF)])
    for name in filter(_exists, ALLOWED):
        guest.allow(name)
    # Only threads. clone3 hides its flags in memory, so it is not there, and the C library goes back to clone.
    guest.allow("clone", args=[(0, CmpOp.MASKED_EQ, _THREAD_FLAGS, _THREAD_FLAGS | _NAMESPACE_FLAGS)])
    guest.allow("tgkill", args={0: pid})
    guest.allow("kill", args={0: pid})
    guest.allow("prlimit64", args=[(2, CmpOp.EQ, 0)])  # to read a limit of any process, and to set none
    for request in _HARMLESS_IOCTL:
        guest.allow("ioctl", args=[(1, CmpOp.MASKED_EQ, request, 0xFFFFFFFF)])
    for option in _HARMLESS_PRCTL:
        guest.allow("prctl", args=[(0, CmpOp.MASKED_EQ, option, 0xFFFFFFFF)])
    guest.allow("sched_setaffinity", args={0: 0})
    for name in filter(_exists, REFUSED):
        guest.errno(name, errno.EPERM)
    return guest


def _exists(name: str) -> bool:
    try:
        syscall_nr(name)
    except ValueError:
        return False
    return True
