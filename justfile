# What to type; `cargo xtask` does the work. CI runs `just ci`.

# List the recipes
default:
    @just --list

# Format, lints, docs, dependency table: everything that runs no product code
check:
    cargo xtask test checks

# Tests that start no container; none needs root
test:
    cargo xtask test unit

# Every test, those in containers too; needs root
test-root:
    cargo xtask test unit container

# Review changed snapshots
snap:
    cargo insta test --workspace --review

# Build the recorded cases and compare them with their records
parity *arguments:
    cargo xtask parity {{ arguments }}

# Build the static executable
dist:
    cargo xtask dist

# Build our own image with ourselves: executor, debug, git or nonroot
image tag="yadokari:executor" target="executor": dist
    target/dist/yadokari build . --target {{ target }} --tag {{ tag }} --output type=docker,dest=target/dist/{{ target }}.tar

# One build from nothing to a pushed image
demo:
    cargo xtask demo

# Write docs/reference.md from the definitions of the command line
reference:
    cargo run --quiet --package yadokari -- man --markdown > docs/reference.md

# Licences, advisories, duplicates of the dependencies
deny:
    cargo deny check

# What CI runs
ci:
    .ci/run
