//! The freezer against folders that look like cgroups, and against real ones in `tests/integration`.

use std::fs;

use super::*;

/// A host with this mount table and this process in this cgroup.
fn host(mounts: &str, cgroup: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    fs::write(root.path().join("proc/self/mounts"), mounts).unwrap();
    fs::write(root.path().join("proc/self/cgroup"), cgroup).unwrap();
    root
}

/// We are in this folder.
fn enter(root: &Path, folder: &str) -> PathBuf {
    let folder = root.join(folder);
    fs::create_dir_all(&folder).unwrap();
    let pids = format!("1\n{}\n", std::process::id());
    fs::write(folder.join("cgroup.procs"), pids).unwrap();
    folder
}

const V2: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n";

#[test]
fn our_cgroup_is_found_wherever_version_2_is_mounted() {
    let hybrid = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n\
                  cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0\n\
                  cgroup2 /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0\n";
    let root = host(hybrid, "9:freezer:/x\n0::/user.slice/session-1.scope\n");
    let own = enter(
        root.path(),
        "sys/fs/cgroup/uni fied/user.slice/session-1.scope",
    );
    assert_eq!(Freezer::find(root.path()), Ok(Freezer { own }));
}

#[test]
fn our_cgroup_is_found_where_a_container_shows_only_a_part_of_the_hierarchy() {
    let root = host(V2, "0::/docker/7f3a\n");
    let own = enter(root.path(), "sys/fs/cgroup");
    assert_eq!(Freezer::find(root.path()), Ok(Freezer { own }));
}

#[test]
fn each_reason_says_what_to_do() {
    let v1 = "cgroup /sys/fs/cgroup/freezer cgroup rw,freezer 0 0\n";
    let found = |mounts, cgroup| Freezer::find(host(mounts, cgroup).path()).unwrap_err();
    let reasons = [
        found("", ""),
        found(v1, "9:freezer:/x\n"),
        found(V2, "0::/../../elsewhere\n"),
        found(V2, "0::/not/there\n"),
        Unavailable::ReadOnly {
            path: "/cg/a".into(),
        },
        Unavailable::NotDelegated {
            path: "/cg/a".into(),
        },
        Unavailable::NoFreezer,
        Unavailable::NotMade {
            path: "/cg/a/catrain-7-0".into(),
            cause: "Resource temporarily unavailable (os error 11)".to_owned(),
        },
        Unavailable::NotEntered {
            path: "/cg/a/catrain-7-0".into(),
            cause: "Operation not supported (os error 95)".to_owned(),
        },
    ];
    let words: Vec<String> = reasons.iter().map(Unavailable::in_words).collect();
    insta::assert_snapshot!(words.join("\n"), @r"
    no cgroup v2 file system is mounted here; mount it with `mount -t cgroup2 none /sys/fs/cgroup`, or keep `--pause-with stop`
    only version 1 of cgroups is mounted here, and its freezer is not used; boot with `systemd.unified_cgroup_hierarchy=1`, or keep `--pause-with stop`
    the cgroup of this process is outside of what is mounted here; start the container with a cgroup namespace of its own (`--cgroupns=private`)
    the cgroup of this process is outside of what is mounted here; start the container with a cgroup namespace of its own (`--cgroupns=private`)
    `/cg/a` is mounted read-only; start the container with a writable cgroup (`--privileged`, or a read-write mount of it)
    `/cg/a` may not be written: this cgroup is not delegated to the user; start it with `systemd-run --user --scope -p Delegate=yes catrain run …`
    this kernel has no `cgroup.freeze`; Linux 5.2 or later has it; keep `--pause-with stop` until then
    cannot make `/cg/a/catrain-7-0`: Resource temporarily unavailable (os error 11); see `cgroup.max.descendants` and `cgroup.max.depth` of the cgroups above it
    the job could not enter `/cg/a/catrain-7-0`: Operation not supported (os error 95); start catrain in a cgroup of type `domain` (see `cgroup.type`) that may be divided
    ");
}

#[test]
fn a_kernel_without_the_file_has_no_freezer_and_nothing_is_left_behind() {
    let root = host(V2, "0::/\n");
    let own = enter(root.path(), "sys/fs/cgroup");
    assert_eq!(try_out(root.path()), Err(Unavailable::NoFreezer));
    let left: Vec<_> = fs::read_dir(own).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_cgroup_that_may_not_be_written_is_not_delegated() {
    if nix::unistd::geteuid().is_root() {
        return; // Root may write everything; the integration tests take another user.
    }
    let root = host(V2, "0::/\n");
    let own = enter(root.path(), "sys/fs/cgroup");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
    fs::set_permissions(&own, mode).unwrap();
    let refused = Err(Unavailable::NotDelegated { path: own });
    assert_eq!(Freezer::find(root.path()), refused);
}

/// A folder with the files of a cell.
fn cell(folder: &Path) -> Cell {
    for file in ["cgroup.freeze", "cgroup.procs", "cgroup.events"] {
        fs::write(folder.join(file), "").unwrap();
    }
    Cell::open(folder).unwrap()
}

#[test]
fn a_cell_is_frozen_when_the_kernel_says_so_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut cell = cell(folder.path());
    let written = || fs::read_to_string(folder.path().join("cgroup.freeze")).unwrap();
    cell.freeze().unwrap();
    assert_eq!(written(), "1");
    for (events, is_frozen) in [
        ("populated 1\nfrozen 0\n", false),
        ("populated 1\nfrozen 1\n", true),
        ("populated 1\nfrozen 10\n", false),
    ] {
        fs::write(folder.path().join("cgroup.events"), events).unwrap();
        assert_eq!(cell.is_frozen(), is_frozen, "{events}");
    }
    drop(cell);
    assert_eq!(written(), "0", "a cell that is dropped is thawed");
}

#[test]
fn one_that_we_did_not_freeze_is_not_thawed_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let mut cell = cell(folder.path());
    fs::write(folder.path().join("cgroup.freeze"), "1").unwrap();
    cell.thaw().unwrap();
    drop(cell);
    let written = fs::read_to_string(folder.path().join("cgroup.freeze")).unwrap();
    assert_eq!(written, "1");
}

#[test]
fn a_cell_that_is_gone_is_not_made_again_by_thawing_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(thaw(folder.path()).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn members_of_inner_cgroups_are_members() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    for (place, pids) in [("", "1\n2\n"), ("a", ""), ("a/b", "4194304\n")] {
        fs::write(folder.path().join(place).join("cgroup.procs"), pids).unwrap();
    }
    assert_eq!(members(folder.path()), BTreeSet::from([1, 2, 4_194_304]));
}

#[test]
fn only_names_of_ours_are_swept() {
    assert_eq!(supervisor_in("catrain-4711-0"), Some(4711));
    for other in [
        "catrain-4711",
        "catrain--1-0",
        "catrain-x-0",
        "session-1-0",
        "catrain-1-x",
    ] {
        assert_eq!(supervisor_in(other), None, "{other}");
    }
}
