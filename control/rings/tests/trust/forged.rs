//! What nobody signed is not believed, whatever it is: the property that the fuzz targets look at for longer.

use proptest::prelude::*;

use crate::judge::believed;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn octets_that_nobody_signed_prove_nothing(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!believed(Some(&octets), None));
        prop_assert!(!believed(None, Some(&octets)));
    }
}
