//! Builds again when a file is added below `screens/` or `assets/`: `include_dir` alone only notices changes in
//! files that it already knows.

fn main() {
    println!("cargo:rerun-if-changed=screens");
    println!("cargo:rerun-if-changed=assets");
}
