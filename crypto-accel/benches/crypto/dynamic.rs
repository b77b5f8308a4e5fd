//! Libraries of the system, looked for when the benchmark runs: it builds without them.
#![expect(unsafe_code, reason = "the dynamic linker knows names, not types")]

use std::ffi::{CStr, c_void};

/// A library that stays loaded.
#[derive(Clone, Copy)]
pub(crate) struct Library(*mut c_void);

impl Library {
    pub(crate) fn open(name: &CStr) -> Option<Self> {
        // SAFETY: `name` is a string that ends in zero; the libraries asked for have constructors that may run here.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        (!handle.is_null()).then_some(Self(handle))
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is the type of a function pointer and says what the function takes and gives.
    pub(crate) unsafe fn function<F: Copy>(self, name: &CStr) -> Option<F> {
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: the handle is open and `name` ends in zero.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        // SAFETY: the caller says that an address of a function of this name is an `F`; the size was checked.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }
}
