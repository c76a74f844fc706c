//! Puts the web app where it gets embedded: from `desktop/ui/dist`, which Vite builds first if it is older than its
//! sources and the packages are there. Without either, a page that says how to build it stands in, so that a plain
//! `cargo build` works on a fresh clone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the web app is made of. Its folder as a whole is not watched: it holds the packages, thousands of files.
const SOURCES: [&str; 6] =
    ["src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts"];

fn main() {
    let ui = PathBuf::from(env("CARGO_MANIFEST_DIR")).join("../desktop/ui");
    let out = PathBuf::from(env("OUT_DIR")).join("web-app");
    let (dist, vite) = (ui.join("dist"), ui.join("node_modules/vite/bin/vite.js"));
    println!("cargo::rerun-if-changed=build.rs");
    if vite.exists() || dist.exists() {
        let sources = || SOURCES.iter().map(|name| ui.join(name)).filter(|path| path.exists());
        sources().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
        if vite.exists()
            && changed(&dist.join("index.html")) < sources().map(|path| newest(&path)).max().flatten()
        {
            build(&ui, &vite);
        }
        replace(&dist, &out);
    } else {
        // Without packages the folder is small, and watching all of it notices when they arrive.
        println!("cargo::rerun-if-changed={}", existing(&ui).display());
        placeholder(&out);
    }
}

fn build(ui: &Path, vite: &Path) {
    let status =
        Command::new("node").arg(vite).args(["build", "--logLevel", "warn"]).current_dir(ui).status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => panic!("building the web app failed; `npm run build` in desktop/ui shows why"),
        Err(error) => panic!("node could not be started to build the web app: {error}"),
    }
}

/// The latest change of a file or of anything below a folder.
fn newest(path: &Path) -> Option<SystemTime> {
    let below = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| newest(&entry.path()));
    below.chain([changed(path)]).max().flatten()
}

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn replace(from: &Path, to: &Path) {
    // It is missing the first time.
    let _ = std::fs::remove_dir_all(to);
    copy(from, to).unwrap_or_else(|error| panic!("copying the web app from {}: {error}", from.display()));
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn placeholder(out: &Path) {
    let _ = std::fs::remove_dir_all(out);
    std::fs::create_dir_all(out).expect("the build's own folder is writable");
    std::fs::write(out.join("index.html"), PLACEHOLDER).expect("the build's own folder is writable");
}

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Banter without its web app</title>
<h1>The server runs, but this build has no web app</h1>
<p>Its packages were missing when the program was built. In the folder of the sources, run</p>
<pre>(cd desktop/ui &amp;&amp; npm ci) &amp;&amp; cargo build --release</pre>
<p>or <code>make run</code>, which does both. The API and LiveKit clients work without it.</p>
</html>
";

/// The nearest folder that exists: Cargo would rebuild each time for the sake of a missing one.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).expect("the root exists")
}

fn env(name: &str) -> String {
    std::env::var(name).expect("cargo sets it")
}
