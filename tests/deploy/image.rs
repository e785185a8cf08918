//! The image without an engine: the program in an empty root with the files that the image has; and,
//! where asked for, the build steps of the Dockerfile as they stand there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::children::Running;
use crate::children::free_port;
use crate::children::here;
use crate::children::start;
use crate::files;
use crate::http::Client;
use crate::process::Folder;

/// What `distroless/cc` holds besides the C library: libgcc, libstdc++ and libgomp.
const LIBRARIES: [&str; 8] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libgomp.so.1",
];

/// The user of the image.
const USER: &str = "65532";

/// One instruction of the Dockerfile: its word, and the rest without options.
fn instructions() -> Vec<(String, String)> {
    let text = files::text("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (word, rest) = line.split_once(' ').unwrap();
            let rest = rest
                .split_whitespace()
                .skip_while(|part| part.starts_with("--"));
            (word.to_owned(), rest.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The instructions after the n-th FROM.
fn stage(number: usize) -> Vec<(String, String)> {
    let mut stages = Vec::new();
    for (word, rest) in instructions() {
        if word == "FROM" {
            stages.push(Vec::new());
        }
        if let Some(stage) = stages.last_mut() {
            stage.push((word, rest));
        }
    }
    stages.swap_remove(number)
}

fn of<'a>(stage: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    let found = stage.iter().filter(|(other, _)| other == word);
    found.map(|(_, rest)| rest.as_str()).collect()
}

#[test]
fn the_image_is_small_locked_and_nobody_special() {
    let (build, image) = (stage(0), stage(1));
    assert!(of(&build, "FROM")[0].starts_with("rust:"));
    assert!(of(&image, "FROM")[0].contains("distroless/cc-debian"));
    let cargo: Vec<&str> = of(&build, "RUN")
        .into_iter()
        .filter(|run| run.contains("cargo "))
        .collect();
    assert!(
        cargo.iter().all(|run| run.contains("--locked")),
        "{cargo:?}"
    );
    assert_eq!(of(&image, "USER"), ["65532:65532"]);
    assert_eq!(of(&image, "ENTRYPOINT"), [r#"["/urlshort"]"#]);
    assert_eq!(of(&image, "EXPOSE"), ["8000 8001"]);
    let probe = of(&image, "HEALTHCHECK")[0];
    assert!(
        probe.ends_with(r#"CMD ["/urlshort", "diagnose", "--probe"]"#),
        "{probe}"
    );
    let labels = of(&image, "LABEL")[0];
    for label in ["title", "version", "revision", "created", "licenses"] {
        assert!(
            labels.contains(&format!("org.opencontainers.image.{label}=")),
            "{label}"
        );
    }
    // Everything that is copied from the checkout is let through, and exists.
    let ignore = files::text("deploy/Dockerfile.dockerignore");
    for copied in of(&build, "COPY") {
        for source in copied.split(' ').rev().skip(1) {
            assert!(
                ignore.lines().any(|line| line == format!("!{source}")),
                "{source}"
            );
            assert!(files::path(source).exists(), "{source}");
        }
    }
    // Debian 13 is trixie: the C library must not be older than the one it was linked with.
    assert!(of(&image, "FROM")[0].contains("debian13"));
    assert!(files::text("deploy/Dockerfile").contains("ARG DEBIAN=trixie"));
}

#[test]
fn the_program_starts_in_an_empty_root_that_it_cannot_write() {
    if !is_root() {
        eprintln!("SKIPPED: only root may change the root");
        return;
    }
    serves_in_an_empty_root(Path::new(env!("CARGO_BIN_EXE_urlshort")));
}

#[test]
#[ignore = "some minutes: make image-steps"]
fn the_build_steps_of_the_image_run_as_they_stand() {
    let root =
        std::env::var("CARGO_TARGET_DIR").map_or_else(|_| files::path("target"), PathBuf::from);
    let root = root.join("image");
    let source = root.join("src");
    fs::create_dir_all(&source).unwrap();
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for (word, rest) in stage(0) {
        match word.as_str() {
            "COPY" => copy(&rest, &source),
            "ENV" => {
                // The registry's cache of this machine stands for the mounted one.
                let pairs = rest.split(' ').filter_map(|pair| pair.split_once('='));
                environment.extend(
                    pairs
                        .filter(|(name, _)| *name != "CARGO_HOME")
                        .map(|(name, value)| {
                            (name.to_owned(), value.replace("${REVISION}", "steps"))
                        }),
                );
            }
            "RUN" => {
                let script = rest.replace(" /urlshort", &format!(" {}/urlshort", root.display()));
                let script =
                    script.replace("mkdir /data", &format!("mkdir -p {}/data", root.display()));
                let mut command = Command::new("sh");
                command
                    .args(["-ec", &script])
                    .current_dir(&source)
                    .envs(&environment);
                files::run(command.env_remove("CARGO_TARGET_DIR"));
            }
            _ => (),
        }
    }
    let binary = root.join("urlshort");
    let bytes = fs::metadata(&binary).unwrap().len();
    assert!(bytes < 40 << 20, "{bytes} bytes");
    let version = files::run(Command::new(&binary).arg("--version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    if is_root() {
        serves_in_an_empty_root(&binary);
    }
    eprintln!(
        "built by the steps of the Dockerfile: {bytes} bytes, {}",
        version.trim()
    );
}

fn copy(rest: &str, into: &Path) {
    let mut words: Vec<&str> = rest.split(' ').collect();
    let to = into.join(words.pop().unwrap());
    for word in words {
        let mut command = Command::new("cp");
        command.arg("-a").arg(files::path(word));
        // A folder's content becomes the folder; cp would put it inside one that is there.
        if files::path(word).is_dir() {
            fs::remove_dir_all(&to).ok();
        }
        files::run(command.arg(&to));
    }
}

fn is_root() -> bool {
    files::run(Command::new("id").arg("-u")).trim() == "0"
}

/// Only the program, the libraries it names, `/etc/passwd`, certificates, `/tmp` and `/data`.
fn serves_in_an_empty_root(binary: &Path) {
    let folder = Folder::new();
    let root = folder.0.join("root");
    let place = |file: &Path, at: &str| {
        let to = root.join(at.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    };
    place(binary, "/urlshort");
    for library in libraries(binary) {
        place(&library, library.to_str().unwrap());
    }
    let files_of_the_base = ["tmp", "data", "etc", "proc"];
    for name in files_of_the_base {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        format!("nonroot:x:{USER}:{USER}::/:/sbin/nologin\n"),
    )
    .unwrap();
    files::run(Command::new("chown").args([USER, &root.join("data").display().to_string()]));
    let process = Contained::start(&folder.0, &root);
    let made = process.client().post(
        "/api/v1/links",
        r#"{"long_url": "https://example.com/", "code": "root"}"#,
    );
    assert_eq!(made.unwrap().status, 201);
    let followed = process.client().get("/root").unwrap();
    assert_eq!(
        (followed.status, followed.header("location")),
        (302, Some("https://example.com/"))
    );
    // Nothing but /data was written: the user may write nothing else.
    let written = files::run(
        Command::new("find")
            .arg(&root)
            .args(["-user", USER, "-type", "f"]),
    );
    assert!(written.lines().count() > 0, "nothing in /data");
    for file in written.lines() {
        assert!(
            file.starts_with(&format!("{}/data/", root.display())),
            "{file}"
        );
    }
    process.probe();
    assert_eq!(process.running.stop(Duration::from_secs(40)), Some(0));
}

/// The program in its root.
struct Contained {
    running: Running,
    public: u16,
    root: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Contained {
    /// With the variables and the command of the image, but for ports.
    fn start(folder: &Path, root: &Path) -> Self {
        let image = stage(1);
        let mut environment: BTreeMap<String, String> = BTreeMap::new();
        for pairs in of(&image, "ENV") {
            let pairs = pairs.split(' ').filter_map(|pair| pair.split_once('='));
            environment.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        assert_eq!(environment["URLSHORT__DATA_DIR"], "/data");
        let (public, admin) = (free_port(), free_port());
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("URLSHORT__ADMIN__LISTEN", format!("127.0.0.1:{admin}"));
        set("URLSHORT__HTTP__LISTEN", format!("127.0.0.1:{public}"));
        assert_eq!(of(&image, "CMD"), [r#"["serve"]"#]);
        let arguments = Self::arguments(root, &["serve"]);
        let chroot = files::tool("chroot").expect("coreutils has it");
        let mut running = start(folder, "contained", &chroot, &arguments, &environment);
        running.answers(here(public), "/readyz");
        Self {
            running,
            public,
            root: root.to_owned(),
            environment,
        }
    }

    fn arguments(root: &Path, words: &[&str]) -> Vec<String> {
        let user = format!("--userspec={USER}:{USER}");
        let place = root.display().to_string();
        let whole = [user.as_str(), &place, "/urlshort"];
        whole
            .iter()
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect()
    }

    fn client(&self) -> Client {
        Client::new(here(self.public))
    }

    /// The health check, in the same root.
    fn probe(&self) {
        let chroot = files::tool("chroot").expect("coreutils has it");
        let mut command = Command::new(chroot);
        command.args(Self::arguments(&self.root, &["diagnose", "--probe"]));
        files::run(command.env_clear().envs(&self.environment));
    }
}

/// What the program is linked with, none of it beyond what the base image has.
fn libraries(binary: &Path) -> Vec<PathBuf> {
    let printed = files::run(Command::new("ldd").arg(binary));
    let mut found = BTreeSet::new();
    for line in printed.lines() {
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        let Some(path) = path.map(PathBuf::from) else {
            continue; // linux-vdso
        };
        let name = path.file_name().unwrap().to_str().unwrap();
        let loader = name.starts_with("ld-linux");
        assert!(
            loader || LIBRARIES.contains(&name),
            "the image has no {name}"
        );
        found.insert(path);
    }
    found.into_iter().collect()
}
