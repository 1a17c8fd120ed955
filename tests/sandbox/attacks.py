"""What would a hostile model do once its code runs? Runs as a guest; every attack returns where nothing stops it.

Reads one line of JSON from stdin, {"attacks": [names], "facts": {...}}, and answers a line {name, "did", "said"} each.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

Attack = Callable[[dict[str, Any]], object]
ATTACKS: dict[str, Attack] = {}
libc = ctypes.CDLL(None, use_errno=True)


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__] = function
    return function


def call(name: str, *arguments: Any) -> int:
    """A function of the C library; raises OSError where it says -1."""
    done = int(getattr(libc, name)(*arguments))
    if done == -1:
        raise OSError(ctypes.get_errno(), name)
    return done


@attack
def reads_the_passwords(facts: dict[str, Any]) -> None:
    Path(facts["passwords"]).read_bytes()


@attack
def reads_a_file_of_the_data_folder(facts: dict[str, Any]) -> None:
    assert (Path(facts["data"]) / "pepper").read_bytes() == b"pepper"


@attack
def reads_it_through_proc(facts: dict[str, Any]) -> None:
    assert Path(f"/proc/self/root{facts['data']}/pepper").read_bytes() == b"pepper"


@attack
def reads_it_through_dots(facts: dict[str, Any]) -> None:
    assert Path(os.path.relpath(facts["data"]), "pepper").read_bytes() == b"pepper"


@attack
def reads_it_through_a_symbolic_link(facts: dict[str, Any]) -> None:
    Path("link").symlink_to(Path(facts["data"]) / "pepper")
    assert Path("link").read_bytes() == b"pepper"


@attack
def reads_it_through_a_hard_link(facts: dict[str, Any]) -> None:
    os.link(Path(facts["data"]) / "pepper", "hard")
    assert Path("hard").read_bytes() == b"pepper"


@attack
def takes_it_into_its_scratch_folder(facts: dict[str, Any]) -> None:
    (Path(facts["data"]) / "movable").rename("moved")


@attack
def reads_another_guests_scratch(facts: dict[str, Any]) -> None:
    (Path(facts["other"]) / "upload").read_bytes()


@attack
def lists_the_data_folder(facts: dict[str, Any]) -> None:
    assert list(Path(facts["data"]).iterdir())


@attack
def lists_home(facts: dict[str, Any]) -> None:
    list(Path(facts["home"]).iterdir())


@attack
def lists_all_processes(facts: dict[str, Any]) -> None:
    assert list(Path("/proc").iterdir())


@attack
def reads_the_environment_of_its_parent(facts: dict[str, Any]) -> None:
    assert Path(f"/proc/{os.getppid()}/environ").read_bytes()


@attack
def opens_the_files_of_its_parent(facts: dict[str, Any]) -> None:
    os.close(os.open(f"/proc/{os.getppid()}/cwd", os.O_RDONLY))


@attack
def makes_a_file_elsewhere(facts: dict[str, Any]) -> None:
    (Path(facts["data"]) / "made").write_bytes(b"x")


@attack
def makes_a_file_in_the_common_folder(facts: dict[str, Any]) -> None:
    made = Path("/tmp") / f"tensortrigger-attack-{os.getpid()}"
    made.write_bytes(b"x")
    made.unlink()


@attack
def makes_shared_memory(facts: dict[str, Any]) -> None:
    made = Path("/dev/shm") / f"tensortrigger-attack-{os.getpid()}"
    made.write_bytes(b"x")
    made.unlink()


@attack
def appends_to_a_file_elsewhere(facts: dict[str, Any]) -> None:
    with (Path(facts["data"]) / "database").open("ab") as stream:
        stream.write(b"x")


@attack
def empties_a_file_elsewhere(facts: dict[str, Any]) -> None:
    os.truncate(Path(facts["data"]) / "database", 0)


@attack
def empties_a_file_of_its_own_interpreter(facts: dict[str, Any]) -> None:
    os.close(os.open(Path(facts["package"]) / "victim.py", os.O_RDONLY | os.O_TRUNC))


@attack
def moves_a_file_out(facts: dict[str, Any]) -> None:
    Path("mine").write_bytes(b"x")
    Path("mine").rename(Path(facts["data"]) / "planted")


@attack
def makes_a_folder_elsewhere(facts: dict[str, Any]) -> None:
    (Path(facts["data"]) / "folder").mkdir()


@attack
def removes_a_file_elsewhere(facts: dict[str, Any]) -> None:
    (Path(facts["data"]) / "removable").unlink()


@attack
def opens_up_the_rights_of_a_file(facts: dict[str, Any]) -> None:
    (Path(facts["data"]) / "pepper").chmod(0o666)


@attack
def gives_a_file_away(facts: dict[str, Any]) -> None:
    os.chown(Path(facts["data"]) / "pepper", os.getuid(), os.getgid())


@attack
def changes_the_times_of_a_file(facts: dict[str, Any]) -> None:
    os.utime(Path(facts["data"]) / "pepper")


@attack
def sets_an_attribute_of_a_file(facts: dict[str, Any]) -> None:
    os.setxattr(Path(facts["data"]) / "pepper", "user.attack", b"x")


@attack
def plants_a_module(facts: dict[str, Any]) -> None:
    (Path(facts["package"]) / "planted.py").write_text("")


@attack
def makes_a_link_for_its_parent_to_follow(facts: dict[str, Any]) -> None:
    Path("servable").symlink_to(Path(facts["data"]) / "pepper")


@attack
def makes_a_pipe_for_its_parent_to_hang_on(facts: dict[str, Any]) -> None:
    os.mkfifo("fifo")


@attack
def connects_over_tcp(facts: dict[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", facts["tcp"]), timeout=5).close()


@attack
def fetches_over_http(facts: dict[str, Any]) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{facts['http']}/", timeout=5).close()


@attack
def sends_over_udp(facts: dict[str, Any]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"leak", ("127.0.0.1", facts["udp"]))


@attack
def connects_to_a_local_socket(facts: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local:
        local.connect(facts["unix"])


@attack
def connects_to_an_abstract_socket(facts: dict[str, Any]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as local:
        local.connect(f"\0{facts['abstract']}")


@attack
def makes_a_pair_of_sockets(facts: dict[str, Any]) -> None:
    for side in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
        side.close()


@attack
def listens(facts: dict[str, Any]) -> None:
    socket.create_server(("127.0.0.1", 0)).close()


@attack
def talks_to_the_kernels_network(facts: dict[str, Any]) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@attack
def resolves_a_name(facts: dict[str, Any]) -> None:
    socket.getaddrinfo("localhost", 80)


@attack
def starts_a_shell(facts: dict[str, Any]) -> None:
    subprocess.run(["/bin/sh", "-c", "exit 0"], check=True)


@attack
def starts_a_shell_as_c_does(facts: dict[str, Any]) -> None:
    assert os.system("exit 0") == 0


@attack
def spawns(facts: dict[str, Any]) -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


@attack
def becomes_another_program(facts: dict[str, Any]) -> None:
    # Without the filter the kernel gets as far as looking for the file.
    try:
        os.execv("/nowhere", ["nowhere"])
    except FileNotFoundError:
        return


@attack
def forks_a_bomb(facts: dict[str, Any]) -> None:
    for _ in range(20):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


@attack
def makes_a_namespace_of_its_own(facts: dict[str, Any]) -> None:
    call("unshare", 0x00020000)


@attack
def asks_whether_its_parent_can_be_killed(facts: dict[str, Any]) -> None:
    os.kill(os.getppid(), 0)


@attack
def asks_that_through_a_descriptor(facts: dict[str, Any]) -> None:
    descriptor = os.pidfd_open(facts["victim"])
    signal.pidfd_send_signal(descriptor, 0)
    os.close(descriptor)


@attack
def traces_another_process(facts: dict[str, Any]) -> None:
    call("ptrace", 0x4206, facts["victim"], None, None)


@attack
def reads_the_memory_of_another_process(facts: dict[str, Any]) -> None:
    os.close(os.open(f"/proc/{facts['victim']}/mem", os.O_RDONLY))


@attack
def slows_another_process_down(facts: dict[str, Any]) -> None:
    os.setpriority(os.PRIO_PROCESS, facts["victim"], 15)


@attack
def limits_another_process(facts: dict[str, Any]) -> None:
    import resource

    resource.prlimit(facts["victim"], resource.RLIMIT_NOFILE, (64, 64))


@attack
def moves_another_process_to_one_core(facts: dict[str, Any]) -> None:
    os.sched_setaffinity(facts["victim"], {min(os.sched_getaffinity(0))})


@attack
def outlives_its_parent(facts: dict[str, Any]) -> None:
    call("prctl", 1, 0, 0, 0, 0)


@attack
def hides_memory_in_a_nameless_file(facts: dict[str, Any]) -> None:
    os.close(os.memfd_create("hidden"))


@attack
def queues_calls_past_the_filter(facts: dict[str, Any]) -> None:
    os.close(call("syscall", 425, 4, (ctypes.c_uint8 * 120)()))


@attack
def watches_files_of_others(facts: dict[str, Any]) -> None:
    os.close(call("inotify_init1", 0))


@attack
def kills_another_process(facts: dict[str, Any]) -> None:
    os.kill(facts["victim"], signal.SIGKILL)


def run(order: dict[str, Any]) -> None:
    # Libraries print; their words must not get among the answers.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        for name in order["attacks"]:
            said = ""
            try:
                ATTACKS[name](order["facts"])
            except BaseException as error:  # noqa: BLE001 - the answer is what came of it
                said = repr(error)
            print(json.dumps({"name": name, "did": not said, "said": said}), file=answers, flush=True)


def main() -> None:
    run(json.loads(sys.stdin.readline()))
