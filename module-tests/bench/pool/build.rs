//! Links the jemalloc that Redis 6.2 carries, where `make redis` has built it. Its names begin with
//! `je_`, those of the newer one that cargo fetches with `_rjem_`: both fit into one process.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let built = root.join("target/redis-6.2/deps/jemalloc/lib/libjemalloc.a");
    println!("cargo:rustc-check-cfg=cfg(redis_jemalloc)");
    println!("cargo:rerun-if-changed={}", built.display());
    // Under a name of its own: the linker would take the other one for it.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where"));
    if fs::copy(&built, out.join("libredis_jemalloc.a")).is_ok() {
        println!("cargo:rustc-cfg=redis_jemalloc");
        println!("cargo:rustc-link-search=native={}", out.display());
        println!("cargo:rustc-link-lib=static=redis_jemalloc");
    }
}
