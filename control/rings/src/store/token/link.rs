//! The way to a PKCS#11 token: one call, one session, within a time limit, so that a token that is gone is an error
//! and not a standstill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Failure, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use crate::passphrase::Passphrase;
use crate::{Error, Result};

/// How long a token may take; making an RSA key of 4096 bits on a slow card is the longest.
const LIMIT: Duration = Duration::from_secs(30);

/// Where a token is, and its PIN.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    module: PathBuf,
    token: String,
    pin: Passphrase,
}

/// A loaded module. A library is loaded once for the whole process, and stays.
#[derive(Clone)]
struct Module {
    library: Pkcs11,
    /// Set while a call has not come back within the limit.
    stuck: Arc<AtomicBool>,
}

static MODULES: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());

impl Link {
    pub(crate) fn new(module: &Path, token: &str, pin: Passphrase) -> Self {
        Self { module: module.to_owned(), token: token.to_owned(), pin }
    }

    /// The same token with another PIN.
    pub(crate) fn with_pin(&self, pin: Passphrase) -> Self {
        Self { pin, ..self.clone() }
    }

    /// An error of this token.
    pub(crate) fn error(&self, problem: impl Into<String>) -> Error {
        Error::Token { token: self.token.clone(), problem: problem.into() }
    }

    /// Does `work` in a session that is logged in.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> cryptoki::error::Result<T> + Send + 'static,
    ) -> Result<T> {
        let module = self.load()?;
        if module.stuck.load(Ordering::Acquire) {
            return Err(
                self.error("an earlier call has not come back; see to the token and start this process anew")
            );
        }
        let (answer, wait) = mpsc::channel();
        let (stuck, library, link) = (Arc::clone(&module.stuck), module.library, self.clone());
        std::thread::spawn(move || {
            let result =
                link.session(&library).and_then(|session| work(&session).map_err(|e| link.explain(&e)));
            stuck.store(false, Ordering::Release);
            // Nobody may be waiting any more.
            let _ = answer.send(result);
        });
        wait.recv_timeout(LIMIT).unwrap_or_else(|_| {
            module.stuck.store(true, Ordering::Release);
            Err(self.error(format!("no answer within {} seconds; is it still plugged in?", LIMIT.as_secs())))
        })
    }

    fn load(&self) -> Result<Module> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&self.module) {
            return Ok(module.clone());
        }
        let failed = |e: Failure| self.error(format!("module {}: {e}", self.module.display()));
        let library = Pkcs11::new(&self.module).map_err(failed)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Failure::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(other) => return Err(failed(other)),
        }
        let module = Module { library, stuck: Arc::new(AtomicBool::new(false)) };
        modules.insert(self.module.clone(), module.clone());
        Ok(module)
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
        match session.login(UserType::User, Some(&AuthPin::new(self.pin.text().into()))) {
            Ok(()) | Err(Failure::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(other) => Err(explain(other)),
        }
    }

    fn explain(&self, failure: &Failure) -> Error {
        let problem = match failure {
            Failure::Pkcs11(RvError::PinIncorrect, _) => {
                "the PIN is wrong; each wrong one brings it nearer to locking"
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

/// The library explains codes at length; the name of the code is enough.
fn short(code: &RvError) -> String {
    format!("{code:?}")
}
