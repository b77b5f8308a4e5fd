//! Key rings: certificates by label, private keys behind one narrow door, and what makes a chain believed.
