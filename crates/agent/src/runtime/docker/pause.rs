//! The image of the pause container, made here: there may be no registry to pull one from.
//!
//! It holds one program of some two hundred bytes that needs nothing else: the agent itself may be linked to libraries,
//! and is no program to keep in memory once a task. It sleeps for ever. As the first process of a shared process namespace
//! it is the parent of what the others leave behind, and by ignoring SIGCHLD it has the kernel bury them. It is ended by
//! SIGKILL, since a first process is not sent what it does not handle.

use bollard::{body_full, query_parameters::CreateImageOptions};
use bytes::Bytes;
use futures::StreamExt;

use super::api::{ANSWER, Api};
use crate::runtime::{Fault, RuntimeError, RuntimeResult};

/// Where the image is on the engine; the tag tells the program in it.
const REPOSITORY: &str = "seawall-pause";
/// The program in the image.
pub const PROGRAM: &str = "/pause";
/// How it is ended.
pub const STOP_SIGNAL: &str = "SIGKILL";

/// Where the program is loaded.
const LOADED_AT: u64 = 0x40_0000;
const ELF_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
const X86_64: u16 = 62;
const AARCH64: u16 = 183;
/// rt_sigaction(SIGCHLD, &IGNORE, NULL, 8), then pause() again and again.
#[rustfmt::skip]
const CODE_X86_64: &[u8] = &[
    0xb8, 13, 0, 0, 0,                      // mov eax, rt_sigaction
    0xbf, 17, 0, 0, 0,                      // mov edi, SIGCHLD
    0x48, 0x8d, 0x35, 19, 0, 0, 0,          // lea rsi, [rip + 19]: IGNORE
    0x31, 0xd2,                             // xor edx, edx
    0x41, 0xba, 8, 0, 0, 0,                 // mov r10d, 8
    0x0f, 0x05,                             // syscall
    0xb8, 34, 0, 0, 0,                      // mov eax, pause
    0x0f, 0x05,                             // syscall
    0xeb, 0xf7,                             // back to the mov before
];
/// The same; there is no pause() here, so ppoll() of nothing.
const CODE_AARCH64: &[u32] = &[
    0xd280_10c8, // movz x8, rt_sigaction
    0xd280_0220, // movz x0, SIGCHLD
    0x1000_0181, // adr x1, 48 bytes on: IGNORE
    0xd280_0002, // movz x2, 0
    0xd280_0103, // movz x3, 8
    0xd400_0001, // svc 0
    0xd280_0000, // movz x0, 0
    0xd280_0001, // movz x1, 0
    0xd280_0002, // movz x2, 0
    0xd280_0003, // movz x3, 0
    0xd280_0004, // movz x4, 0
    0xd280_0928, // movz x8, ppoll
    0xd400_0001, // svc 0
    0x17ff_fff9, // b 7 instructions back
];
/// The kernel's sigaction: SIG_IGN, no flags, no restorer, no mask.
const IGNORE: [u64; 4] = [1, 0, 0, 0];

const TAR_BLOCK: usize = 512;
const MODE: &[u8] = b"0000755";

/// Whether there is such a program for the machine that this agent was built for.
pub fn is_possible() -> bool {
    program().is_some()
}

/// The image's name.
pub fn image() -> String {
    format!("{REPOSITORY}:{}", tag())
}

fn tag() -> String {
    format!("{:08x}", crc32c::crc32c(&program().unwrap_or_default()))
}

/// Makes the image be there.
pub async fn provide(api: &Api) -> RuntimeResult<()> {
    let name = image();
    match api.ask("show an image", ANSWER, api.docker.inspect_image(&name)).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.of(Fault::Pull)),
    }
    let program = program().ok_or_else(|| RuntimeError::new(Fault::Pull, "no pause program for this machine"))?;
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(REPOSITORY.into()),
        tag: Some(tag()),
        ..Default::default()
    };
    let mut progress = api.docker.create_image(Some(options), Some(body_full(archive(&program))), None);
    let all = async {
        while let Some(step) = progress.next().await {
            step?;
        }
        Ok(())
    };
    api.ask("make the image of the pause container", ANSWER, all).await.map_err(|error| error.of(Fault::Pull))
}

/// The program for the machine that this agent was built for.
fn program() -> Option<Vec<u8>> {
    match std::env::consts::ARCH {
        "x86_64" => Some(elf(X86_64, CODE_X86_64)),
        "aarch64" => {
            let code: Vec<u8> = CODE_AARCH64.iter().flat_map(|instruction| instruction.to_le_bytes()).collect();
            Some(elf(AARCH64, &code))
        }
        _ => None,
    }
}

/// An ELF file of one segment: its headers, the code, and [`IGNORE`].
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    let headers = u64::from(ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES);
    let length = headers + code.len() as u64 + std::mem::size_of_val(&IGNORE) as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let mut half = |values: &[u16]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    half(&[2, machine, 1, 0]);
    let mut long = |values: &[u64]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    long(&[LOADED_AT + headers, ELF_HEADER_BYTES.into(), 0]);
    let mut half = |values: &[u16]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    half(&[0, 0, ELF_HEADER_BYTES, PROGRAM_HEADER_BYTES, 1, 0, 0, 0]);
    // To be loaded, to be read and executed.
    half(&[1, 0, 5, 0]);
    let mut long = |values: &[u64]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    long(&[0, LOADED_AT, LOADED_AT, length, length, 0x1000]);
    file.extend(code);
    file.extend(IGNORE.iter().flat_map(|value| value.to_le_bytes()));
    file
}

/// A tar archive of the one file.
fn archive(program: &[u8]) -> Bytes {
    let mut header = [0u8; TAR_BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, PROGRAM.trim_start_matches('/').as_bytes());
    put(100, MODE);
    put(108, b"0000000");
    put(116, b"0000000");
    put(124, format!("{:011o}", program.len()).as_bytes());
    put(136, b"00000000000");
    // The sum is of a header whose own field is spaces.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(program);
    archive.resize(archive.len().next_multiple_of(TAR_BLOCK) + 2 * TAR_BLOCK, 0);
    archive.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_archive_holds_the_program() {
        let program = program().unwrap();
        let bytes = archive(&program);
        let mut archive = tar::Archive::new(bytes.as_ref());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("pause"));
        assert_eq!(entry.header().mode().unwrap(), 0o755);
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(read, program);
    }

    #[test]
    fn the_program_points_at_what_it_hands_to_the_kernel() {
        // The address of IGNORE is relative to the instruction after `lea` here, and to `adr` itself there.
        assert_eq!(CODE_X86_64.len(), 17 + usize::from(CODE_X86_64[13]));
        assert_eq!(CODE_AARCH64.len() * 4, 8 + 48);
    }
}
