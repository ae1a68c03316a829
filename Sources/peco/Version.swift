/// The version of the program, said here alone. It ends with `-dev` until CHANGELOG.md has a date for it.
let pecoVersion = "0.2.0-dev"
