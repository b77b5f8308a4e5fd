//! The machine code of the wide kernels: nothing goes from vector registers, where all secrets are, to where a branch or
//! an address could come from, and no instruction takes addresses from a vector.

use std::collections::BTreeMap;
use std::process::Command;

/// One instruction: its name, and its operands from the destination on.
struct Instruction {
    name: String,
    operands: Vec<String>,
}

/// The functions of this program whose names have all of the words, by name.
fn functions(words: &[&str]) -> BTreeMap<String, Vec<Instruction>> {
    let program = std::env::current_exe().expect("this test's own program");
    let output = Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn", "--demangle", "--disassembler-options=intel"])
        .arg(program)
        .output()
        .expect("objdump is installed; `make ready` brings it");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut functions = BTreeMap::new();
    for block in text.split("\n\n") {
        let Some((head, body)) = block.trim_start().split_once(">:\n") else { continue };
        let name = head.split_once('<').map_or("", |(_, name)| name);
        if words.iter().all(|word| name.contains(word)) {
            functions.insert(name.to_owned(), body.lines().filter_map(instruction).collect());
        }
    }
    functions
}

/// ` address:\tname operand,operand  # comment`
fn instruction(line: &str) -> Option<Instruction> {
    let text = line.split_once(":\t")?.1;
    let text = text.split(['#', '<']).next()?.trim();
    let (name, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let operands = operands.split(',').map(|operand| operand.trim().to_owned()).collect();
    Some(Instruction { name: name.to_owned(), operands })
}

impl Instruction {
    fn reads_vector(&self) -> bool {
        self.operands.iter().skip(1).any(|operand| is_vector(operand))
    }

    /// Whether a general register, a mask or the flags hear of the octets in a vector register.
    fn tells(&self) -> bool {
        let sets_flags = ["ptest", "testp", "comis"].iter().any(|part| self.name.contains(part));
        let to_register =
            self.operands.first().is_some_and(|operand| !is_vector(operand) && !operand.contains('['));
        (sets_flags && is_vector(&self.operands[0])) || (to_register && self.reads_vector())
    }

    /// Whether a general register or the flags hear of a mask, which may come from comparing vectors.
    fn tells_of_mask(&self) -> bool {
        let sets_flags = ["kortest", "ktest"].iter().any(|part| self.name.starts_with(part));
        let to_register = self
            .operands
            .first()
            .is_some_and(|operand| !is_vector(operand) && !is_mask(operand) && !operand.contains('['));
        sets_flags || (to_register && self.operands.iter().skip(1).any(|operand| is_mask(operand)))
    }

    /// Whether it takes addresses from a vector.
    fn gathers(&self) -> bool {
        let in_brackets = |operand: &String| {
            operand.split_once('[').is_some_and(|(_, address)| {
                ["xmm", "ymm", "zmm"].iter().any(|register| address.contains(register))
            })
        };
        self.name.contains("gather") || self.name.contains("scatter") || self.operands.iter().any(in_brackets)
    }

    fn is_vector_work(&self) -> bool {
        self.operands.iter().any(|operand| is_vector(operand))
    }
}

fn is_vector(operand: &str) -> bool {
    ["xmm", "ymm", "zmm"].iter().any(|register| operand.starts_with(register))
}

fn is_mask(operand: &str) -> bool {
    operand.len() == 2 && operand.starts_with('k')
}

/// What is wrong with a function, instruction by instruction.
fn complaints(function: &[Instruction]) -> Vec<String> {
    let wrong = function
        .iter()
        .filter(|instruction| instruction.tells() || instruction.tells_of_mask() || instruction.gathers());
    wrong.map(|wrong| format!("{} {}", wrong.name, wrong.operands.join(","))).collect()
}

/// The kernels of one kind; they are there, and large.
fn kernels(words: &[&str]) -> BTreeMap<String, Vec<Instruction>> {
    let found = functions(words);
    let work = found.values().flatten().filter(|instruction| instruction.is_vector_work()).count();
    assert!(work > 1000, "{words:?}: only {work} instructions on vectors in {:?}", found.keys());
    found
}

#[test]
fn sealing_tells_nothing_that_vectors_hold() {
    for width in ["::vaes512", "::vaes256"] {
        for (name, function) in kernels(&["x86::enter::seal_some", width]) {
            assert_eq!(complaints(&function), Vec::<String>::new(), "{name}");
        }
    }
}

/// All but whether a tag was right: one test of a whole block in each place where tags are compared.
#[test]
fn opening_tells_nothing_but_outcomes() {
    for width in ["::vaes512", "::vaes256"] {
        for (name, function) in kernels(&["x86::enter::open_some", width]) {
            let found = complaints(&function);
            let (outcomes, others): (Vec<_>, Vec<_>) =
                found.iter().partition(|complaint| complaint.starts_with("vptest xmm"));
            assert_eq!(others, Vec::<&String>::new(), "{name}");
            assert!((1..=40).contains(&outcomes.len()), "{name}: {outcomes:?}");
        }
    }
}

/// But for comparisons whose outcome stays in a mask, where it chooses lanes and nothing else can go by it. Tags are
/// compared elsewhere, by octets in memory.
#[test]
fn chacha_tells_nothing_that_vectors_hold() {
    let found = kernels(&["x86::chacha::"]);
    for part in ["leading", "group", "hash"] {
        assert!(found.keys().any(|name| name.contains(part)), "no {part} in {:?}", found.keys());
    }
    for (name, function) in found {
        let mut found = complaints(&function);
        let to_mask = |complaint: &String| {
            ["vpcmp", "vptestm", "vptestnm"].iter().any(|way| complaint.starts_with(way))
                && complaint.contains(" k")
        };
        found.retain(|complaint| !to_mask(complaint));
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

/// Goes by a secret in a vector register in each way that the check must see.
#[test]
fn careless_code_is_found() {
    #[target_feature(enable = "avx2")]
    #[inline(never)]
    fn careless_kernel(secret: &[i32; 8], table: &[i32; 256]) -> i32 {
        use std::arch::x86_64::*;
        // SAFETY: an array of 8 numbers may be read; no alignment is asked for.
        let secret = unsafe { _mm256_loadu_si256(secret.as_ptr().cast()) };
        let secret = _mm256_and_si256(secret, _mm256_set1_epi32(255));
        // SAFETY: the numbers are below 256.
        let found = unsafe { _mm256_i32gather_epi32::<4>(table.as_ptr(), secret) };
        if _mm256_testz_si256(found, secret) == 1 { 1 } else { _mm256_movemask_epi8(found) }
    }
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        std::hint::black_box(unsafe { careless_kernel(&[3; 8], &[5; 256]) });
    }
    #[target_feature(enable = "avx512f")]
    #[inline(never)]
    fn careless_kernel_of_masks(secret: &[i32; 16]) -> u16 {
        use std::arch::x86_64::*;
        // SAFETY: an array of 16 numbers may be read; no alignment is asked for.
        let secret = unsafe { _mm512_loadu_si512(secret.as_ptr().cast()) };
        let equal = _mm512_cmpeq_epi32_mask(secret, _mm512_set1_epi32(3));
        let even = _mm512_testn_epi32_mask(secret, _mm512_set1_epi32(1));
        if _kortestz_mask16_u8(equal, even) == 1 { 9 } else { equal }
    }
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512.
        std::hint::black_box(unsafe { careless_kernel_of_masks(&[3; 16]) });
    }
    let found: Vec<_> =
        functions(&["careless_kernel"]).values().flat_map(|function| complaints(function)).collect();
    for way in ["vpgatherdd", "vptest", "vpmovmskb", "kortest", "kmov"] {
        assert!(found.iter().any(|complaint| complaint.starts_with(way)), "{way} was not seen: {found:?}");
    }
}
