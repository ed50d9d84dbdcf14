//! What a program needs beside itself: its ELF interpreter, and the shared libraries that this finds for it.

/// What every ELF file begins with; 64 bits, little-endian.
const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
/// The program header that names the interpreter.
const INTERPRETER: u32 = 3;
/// Where the file's header says where the program headers are, how long one is, and how many there are.
const HEADERS_AT: usize = 32;
const HEADER_BYTES_AT: usize = 54;
const HEADERS_COUNT_AT: usize = 56;
/// Where a program header says where its part of the file is, and how long it is.
const OFFSET_AT: usize = 8;
const LENGTH_AT: usize = 32;

/// The interpreter of a program; `Ok(None)` where it is linked statically and needs none.
///
/// # Errors
/// It is no ELF file of 64 bits, or cut short.
pub fn interpreter(program: &[u8]) -> Result<Option<String>, &'static str> {
    if !program.starts_with(&MAGIC) {
        return Err("not a little-endian ELF file of 64 bits");
    }
    let cut = "cut short";
    let first = number(program, HEADERS_AT, 8).ok_or(cut)?;
    let length = number(program, HEADER_BYTES_AT, 2).ok_or(cut)?;
    for nth in 0..number(program, HEADERS_COUNT_AT, 2).ok_or(cut)? {
        let header = program.get(first + nth * length..).ok_or(cut)?;
        if number(header, 0, 4).ok_or(cut)? != INTERPRETER as usize {
            continue;
        }
        let from = number(header, OFFSET_AT, 8).ok_or(cut)?;
        let to = from + number(header, LENGTH_AT, 8).ok_or(cut)?;
        let text = program.get(from..to).ok_or(cut)?;
        return Ok(Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()));
    }
    Ok(None)
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let digits = bytes.get(at..at.checked_add(length)?)?;
    digits.iter().rev().try_fold(0usize, |sum, digit| Some(sum.checked_mul(256)? + usize::from(*digit)))
}

/// (name, file) of each library in what `INTERPRETER --list PROGRAM` prints.
pub fn libraries(listed: &str) -> Vec<(String, String)> {
    let one = |line: &str| {
        let (name, rest) = line.trim().split_once(" => ")?;
        let file = rest.split(" (").next()?.trim();
        file.starts_with('/').then(|| (name.to_owned(), file.to_owned()))
    };
    listed.lines().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_interpreter_of_a_program_is_found_and_what_is_no_program_refused() {
        let env = seawall_env::Env::real_with_default_net();
        let own = env.fs().read(&std::env::current_exe().unwrap()).unwrap().unwrap();
        if let Some(found) = interpreter(&own).unwrap() {
            assert!(found.starts_with('/'), "{found}");
        }
        assert!(interpreter(b"#!/bin/sh").is_err());
        assert_eq!(interpreter(&own[..60]), Err("cut short"));
    }

    #[test]
    fn the_list_names_libraries_and_files() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibx.so => not found\n";
        assert_eq!(libraries(listed), [("libc.so.6".into(), "/lib/x86_64-linux-gnu/libc.so.6".into())]);
    }
}
