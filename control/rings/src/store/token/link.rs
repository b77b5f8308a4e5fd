//! The way to a PKCS#11 token: one call, one session, within a time limit, so that a token that is gone or does not
//! answer is an error and not a standstill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Failure, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::passphrase::Passphrase;
use crate::{Error, Result};

/// How long a token may take where nothing else is said; making an RSA key of 4096 bits on a slow card is the longest.
const PATIENCE: u32 = 30;

/// Where a token is, and its PIN.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    module: PathBuf,
    token: String,
    pin: Passphrase,
    patience: u32,
}

/// A module. It is loaded once for the whole process, and stays.
#[derive(Default)]
struct Module {
    library: Mutex<Option<Pkcs11>>,
    /// Calls that have not come back within the limit.
    late: AtomicUsize,
}

static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

impl Link {
    /// A way that gives up after `patience` seconds.
    pub(crate) fn new(module: &Path, token: &str, pin: Passphrase, patience: Option<u32>) -> Self {
        let patience = patience.unwrap_or(PATIENCE);
        Self { module: module.to_owned(), token: token.to_owned(), pin, patience }
    }

    /// The same token with another PIN.
    pub(crate) fn with_pin(&self, pin: Passphrase) -> Self {
        Self { pin, ..self.clone() }
    }

    /// An error of this token.
    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        Error::Token { token: self.token.clone(), problem: problem.into() }
    }

    /// Gives the token another PIN.
    pub(crate) fn set_pin(&self, new: &Passphrase) -> Result<()> {
        let (old, new) = (secret(&self.pin), secret(new));
        self.with(move |session| session.set_pin(&old, &new))
    }

    /// Does `work` in a session that is logged in.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> cryptoki::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        let module = self.module();
        if module.late.load(Ordering::Acquire) > 0 {
            return Err(self.error("an earlier call has not come back; see to the token and try again"));
        }
        let (answer, wait) = mpsc::channel();
        // Set by whoever is first: the call that comes back, or the patience that ends.
        let settled = Arc::new(AtomicBool::new(false));
        let (link, called, coming) = (self.clone(), Arc::clone(&module), Arc::clone(&settled));
        std::thread::spawn(move || {
            let result = link
                .load(&called)
                .and_then(|library| link.session(&library))
                .and_then(|session| work(&session).map_err(|e| link.explain(&e)));
            // Nobody may be waiting any more.
            let _ = answer.send(result);
            if coming.swap(true, Ordering::AcqRel) {
                called.late.fetch_sub(1, Ordering::AcqRel);
            }
        });
        match wait.recv_timeout(Duration::from_secs(self.patience.into())) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(self.error("its module has failed")),
            Err(RecvTimeoutError::Timeout) => {
                module.late.fetch_add(1, Ordering::AcqRel);
                if settled.swap(true, Ordering::AcqRel) {
                    // It came back at this very moment.
                    module.late.fetch_sub(1, Ordering::AcqRel);
                    return wait.try_recv().unwrap_or_else(|_| Err(self.error("its module has failed")));
                }
                Err(self
                    .error(format!("no answer within {} seconds; is it still plugged in?", self.patience)))
            }
        }
    }

    fn module(&self) -> Arc<Module> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(modules.entry(self.module.clone()).or_default())
    }

    /// The library, loaded at the first call. That may take as long as any other call.
    fn load(&self, module: &Module) -> Result<Pkcs11> {
        let mut loaded = module.library.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*loaded {
            return Ok(library.clone());
        }
        let failed = |e: Failure| self.error(format!("module {}: {e}", self.module.display()));
        let library = Pkcs11::new(&self.module).map_err(failed)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Failure::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(other) => return Err(failed(other)),
        }
        *loaded = Some(library.clone());
        Ok(library)
    }

    fn session(&self, library: &Pkcs11) -> Result<Session> {
        let explain = |e: Failure| self.explain(&e);
        let slots = library.get_slots_with_token().map_err(explain)?;
        let is_ours = |slot: &cryptoki::slot::Slot| {
            library
                .get_token_info(*slot)
                .is_ok_and(|info| info.label() == self.token && info.token_initialized())
        };
        let slot = slots.into_iter().find(is_ours).ok_or_else(|| {
            self.error(format!("no token of this label behind {}; is it plugged in?", self.module.display()))
        })?;
        let session = library.open_rw_session(slot).map_err(explain)?;
        match session.login(UserType::User, Some(&secret(&self.pin))) {
            Ok(()) | Err(Failure::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(other) => Err(explain(other)),
        }
    }

    fn explain(&self, failure: &Failure) -> Error {
        let problem = match failure {
            Failure::Pkcs11(RvError::PinIncorrect, _) => {
                return Error::WrongPin { token: self.token.clone() };
            }
            Failure::Pkcs11(RvError::PinInvalid | RvError::PinLenRange, _) => {
                "it does not take such a PIN; choose one of another length or other characters"
            }
            Failure::Pkcs11(RvError::PinLocked, _) => {
                "the PIN is locked; its security officer can set a new one"
            }
            Failure::Pkcs11(
                RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::SlotIdInvalid,
                _,
            ) => "it was removed; plug it in again",
            Failure::Pkcs11(code, _) => return self.error(format!("it refuses: {}", short(code))),
            other => return self.error(other.to_string()),
        };
        self.error(problem)
    }
}

fn secret(pin: &Passphrase) -> AuthPin {
    AuthPin::new(pin.text().into())
}

/// The library explains codes at length; the name of the code is enough.
fn short(code: &RvError) -> String {
    format!("{code:?}")
}
