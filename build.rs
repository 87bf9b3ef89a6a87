//! Compiles the C that the module carries: arithmetic in `long double`, which Rust does not have.

fn main() {
    let source = "src/value/longdouble.c";
    println!("cargo:rerun-if-changed={source}");
    cc::Build::new()
        .file(source)
        .warnings_into_errors(true)
        .compile("redis_numa_longdouble");
}
