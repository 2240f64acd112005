//! What a confined command of user 0 can and cannot do next to something hidden, in rootswap.

use crate::rootswap::{INSTALL, RUN, run_in_container, run_with_volumes, spec};
use crate::support::{stderr, stdout};

/// Another stage's root in the state directory, and what tells whether it and the volumes are as they were.
const OTHERS: &str = "mkdir -p /.yadokari/other/etc; echo other > /.yadokari/other/etc/x.bak; touch /.yadokari/other/top";
const AFTER: &str = "find /.yadokari/other /ci /m/vol -exec stat -c '%n %F %a %u:%g %s' {} + | sort; cat /.yadokari/other/etc/x.bak /ci/precious";
const UNTOUCHED: &str = "/.yadokari/other directory 755 0:0 4096
/.yadokari/other/etc directory 755 0:0 4096
/.yadokari/other/etc/x.bak regular file 644 0:0 6
/.yadokari/other/top regular empty file 644 0:0 0
/ci directory 755 0:0 4096
/ci/precious regular file 644 0:0 8
/m/vol directory 755 0:0 4096
/m/vol/precious regular file 644 0:0 8
other
precious";

#[test]
fn what_is_hidden_cannot_be_removed_moved_replaced_or_added_to() {
    let script = "echo own > /own; mkdir /dir; cd /; \
        for c in 'rm -f /ci/precious' 'rm -rf /ci' 'rm -rf /.yadokari/other' 'rmdir /.yadokari/other/etc' \
            'mv /ci/precious /stolen' 'mv ci moved' 'mv /.yadokari /gone' 'mv /m /moved' 'mv /m/vol /moved' \
            'mv /.yadokari/other /moved' 'mv /own /ci/own' 'mv /own /.yadokari/other/top' 'mv /dir /.yadokari/other/dir' \
            'touch /ci/new' 'mkdir /ci/new' 'mkdir /.yadokari/new' 'mkdir .yadokari/other/../new' 'mkfifo /ci/pipe' \
            'mknod /ci/null c 1 3' 'ln -s own /ci/link' 'ln /ci/precious /second' 'ln /own /ci/second' \
            'ln /.yadokari/other/etc/x.bak /m/second' 'truncate -s 0 /ci/precious' 'cp /own /.yadokari/other/etc/x.bak' \
            'cat /.yadokari/other/etc/x.bak' 'mv -T /dir /ci' 'mv -T /own /.yadokari' 'ln -sf /ci/precious /m/vol' \
            'cp /own /proc/self/root/ci/new' 'ln -sfn /own /.yadokari'; do \
            $c 2>/dev/null && echo \"$c\"; done; ls -A / /m; cat /own";
    let around = format!("{OTHERS}; {RUN}; {AFTER}");
    let Some(output) = run_with_volumes(&["/ci"], "", &spec(script), &around) else {
        return;
    };
    let seen = "/:\nbin\nbuilds\ndev\ndir\netc\nm\nown\nproc\nsys\ntmp\n\n/m:\nown\n";
    assert_eq!(
        stdout(&output),
        format!("{seen}status 0\n{UNTOUCHED}SAME\n/builds/job\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn who_walks_over_everything_does_not_come_to_what_is_hidden() {
    let script = "touch /own.bak; find / -xdev -name '*.bak'; find / -xdev | grep -E '^/(ci|t$|t/|.yadokari)|precious'; \
        find / -xdev -type f ! -path '/bin/*' ! -path '/etc/*' -exec chown 77:77 {} + -exec chmod 600 {} +; chown -R 77 /m /tmp; \
        stat -c '%u %a' /opt/file; cd / && ls -A | while read n; do case $n in bin|dev|etc|m|proc|sys) ;; *) rm -rf \"$n\" && echo \"$n\";; esac; done; ls -A /";
    let around = format!("{OTHERS}; {RUN}; {AFTER}");
    let arrange = "mkdir opt; touch opt/file";
    let Some(output) = run_with_volumes(&["/ci"], arrange, &spec(script), &around) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.starts_with("/own.bak\n77 600\nbuilds\nopt\nown.bak\ntmp\nbin\n")
            && text.contains(&format!("status 0\n{UNTOUCHED}SAME\n")),
        "{text} {}",
        stderr(&output)
    );
}

#[test]
fn entries_beside_something_hidden_come_and_go_without_an_end() {
    let script = "cd /root; exec 4>/deleted 5</deleted; rm /deleted; echo kept >&4; \
        for i in $(seq 600); do \
            ( set -C; echo $i > /lock ) && mkdir /lockdir && rmdir /lockdir && rm /lock || { echo lock $i; break; }; \
            echo $i > .rc.new && mv .rc.new .rc && read j < .rc && [ $i = $j ] || { echo rename $i; break; }; done; \
        for i in $(seq 200); do echo $i > /many$i; done; cat /many* | wc -l; rm /many*; cat <&5; cat .rc; \
        mkfifo /pipe; ( echo through > /pipe & ); cat /pipe; ls -A / /root";
    let mut spec = spec(script);
    spec.hidden.push("/root/.docker".into());
    let Some(output) = run_with_volumes(&["/root/.docker"], "mkdir root", &spec, RUN) else {
        return;
    };
    let (text, notes) = (stdout(&output), stderr(&output));
    let seen = "/:\nbin\nbuilds\ndev\netc\nm\npipe\nproc\nroot\nsys\ntmp\n\n/root:\n.rc\n";
    assert_eq!(
        text,
        format!("200\nkept\n600\nthrough\n{seen}status 0\nSAME\n/builds/job\n"),
        "{notes}"
    );
    assert!(!notes.contains("could not be opened"), "{notes}");
}

#[test]
fn more_entries_than_there_are_rules_for_are_usable_by_who_makes_them_and_the_log_says_so() {
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo $i > /many$i; echo more >> /many$i; done; \
        cat /many* 2>/dev/null | wc -l; echo last > /many300; cat /bin/busybox > /many300; stat -c %s /many300 /bin/busybox | uniq | wc -l";
    let Some(output) = run_in_container(
        "",
        &spec(script),
        &format!("{RUN}; cat /.yadokari/stage/many[12]* | wc -l"),
    ) else {
        return;
    };
    let (text, notes) = (stdout(&output), stderr(&output));
    // The container's directory has grown on the disk, which shows in its size.
    assert!(
        text.starts_with("512\n1\nstatus 0\n444\n"),
        "{text} {notes}"
    );
    assert!(
        notes.contains("more entries next to the container's own"),
        "{notes}"
    );
}

#[test]
fn the_rights_of_whoever_makes_an_entry_count() {
    let script = "echo u:x:1000:1000::/:/bin/sh > /etc/passwd; as() { su u -c \"$*\" 2>/dev/null && echo \"$*\"; }; echo keep > /keep; mkdir /empty; mkdir /d; \
        as touch /new; as mkdir /new; as rm /keep; as rmdir /empty; as mv /keep /moved; as ln -s x /link; as ln /keep /second; \
        chmod 1777 /; as touch /theirs; as mkdir /their; as rm -f /keep; as rmdir /empty; as mv /theirs /moved; as rmdir /their; \
        stat -c '%n %u:%g %a' /moved; chmod 755 /; \
        (umask 077; echo x > /private; mkdir /closed; mkfifo /p; stat -c '%n %a' /private /closed /p); \
        chown 0:55 /d /; chmod 2755 /; mkdir /given; touch /file; stat -c '%n %g %a' /given /file; cat /file; \
        ln /bin/busybox /second && stat -c %h /bin/busybox; ln -s keep /l && cat /l; \
        mkdir /full; touch /full/x; rmdir /full 2>/dev/null || echo full; mkdir /full 2>/dev/null || echo there; \
        echo x > /full/x; mv /full/x /d; mv /full/x /back 2>/dev/null || echo gone; mv /d/x /back && cat /back; \
        unlink /keep/ 2>/dev/null || echo slash; (set -C; echo x > /keep) 2>/dev/null || echo exclusive; cat /keep";
    let Some(output) = run_in_container("", &spec(script), RUN) else {
        return;
    };
    let expected = "touch /theirs\nmkdir /their\nmv /theirs /moved\nrmdir /their\n/moved 1000:1000 644\n\
        /private 600\n/closed 700\n/p 600\n/given 55 2755\n/file 55 644\n2\nkeep\nfull\nthere\ngone\nx\nslash\nexclusive\nkeep\n";
    let text = stdout(&output);
    assert!(
        text.starts_with(expected) && text.contains("status 0\nSAME\n"),
        "{text} {}",
        stderr(&output)
    );
}

#[test]
fn programs_of_other_calls_fall_back() {
    // The driver's C library uses other calls than busybox's.
    let script = "/bin/driver entries / && ls -A /";
    let Some(output) = run_in_container(INSTALL, &spec(script), RUN) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.contains("status 0\nSAME\n"),
        "{text} {}",
        stderr(&output)
    );
    assert!(text.starts_with("openat2 ok\nrenameat2 exchange ok\nrenameat2 noreplace ok\nsocket refused\ndevice made\n"), "{text}");
}

#[test]
fn a_command_may_put_links_in_place_of_its_shell_and_libraries() {
    let script = "[ -L /lib ] || { b=/usr/bin/busybox; mkdir /usr; mv /lib /usr/lib; /bin/busybox ln -s usr/lib /lib; \
        mv /lib64 /usr/lib64; ln -s usr/lib64 /lib64; mv /bin /usr/bin; $b ln -s usr/bin /bin; rm /bin/sh; ln -s /usr/bin/busybox /bin/sh; }; \
        /bin/driver who; readlink /bin; readlink /bin/sh";
    let around = format!("{RUN}; {RUN}; readlink /.yadokari/stage/lib64");
    let Some(output) = run_in_container(INSTALL, &spec(script), &around) else {
        return;
    };
    let once = "0\nusr/bin\n/usr/bin/busybox\nstatus 0\n";
    assert_eq!(
        stdout(&output),
        format!("{once}{once}usr/lib64\nSAME\n/builds/job\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_one_command_did_to_what_was_ready_the_next_one_does_not_find() {
    let script = "cd /.yadokari/spares; if [ ! -e /first ]; then touch /first; for i in $(seq 384); do \
            case $((i % 4)) in 0) touch $i/left;; 1) truncate -s 9 $i;; 2) dd if=/bin/busybox of=$i count=1 conv=notrunc;; esac; \
            [ $((i % 7)) = 0 ] && chown 77 $i && chmod 4777 $i; done 2>/dev/null; true; \
        else for i in $(seq 200); do : >> /new-file$i; done; for i in $(seq 100); do mkdir /new-dir$i; done; \
            cat /new-file*; find /new-dir* -mindepth 1; stat -c '%F %a %u' /new* | sort | uniq -c; fi";
    let mut spec = spec(script);
    spec.spares = Some("/.yadokari/spares".into());
    let around = format!("{RUN}; {RUN}; ls /.yadokari/spares | wc -l");
    let Some(output) = run_in_container("", &spec, &around) else {
        return;
    };
    let text = stdout(&output);
    let seen = "    100 directory 755 0\n    200 regular empty file 644 0\n";
    assert!(
        text.starts_with(&format!("status 0\n{seen}status 0\n92\n")),
        "{text} {}",
        stderr(&output)
    );
}
