//! The terminal, told to hand over keys as they are typed.

#[cfg(unix)]
pub(super) use unix::Raw;

#[cfg(not(unix))]
pub(super) use elsewhere::Raw;

#[cfg(unix)]
mod unix {
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
    };
    use std::io::{stdin, stdout};

    /// Keys come one by one and are not echoed, as long as this lives. Ctrl-C stays a signal.
    pub(in crate::screen) struct Raw {
        before: Termios,
    }

    impl Raw {
        /// None if this is no terminal after all.
        pub(in crate::screen) fn start() -> Option<Raw> {
            let before = tcgetattr(stdin()).ok()?;
            let mut now = before.clone();
            now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            now.special_codes[SpecialCodeIndex::VMIN] = 1;
            now.special_codes[SpecialCodeIndex::VTIME] = 0;
            // Stopped, it would leave the shell a terminal without echo.
            now.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(stdin(), OptionalActions::Now, &now).ok()?;
            Some(Raw { before })
        }

        /// How wide the terminal is now.
        pub(in crate::screen) fn columns(&self) -> usize {
            tcgetwinsize(stdout()).map(|size| usize::from(size.ws_col)).ok().filter(|n| *n > 0).unwrap_or(80)
        }
    }

    impl Raw {
        /// The terminal as it was. Twice is fine.
        pub(in crate::screen) fn give_back(&self) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            self.give_back();
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    /// Not there: lines come whole, as from a pipe.
    pub(in crate::screen) struct Raw;

    impl Raw {
        pub(in crate::screen) fn start() -> Option<Raw> {
            None
        }

        pub(in crate::screen) fn columns(&self) -> usize {
            80
        }

        pub(in crate::screen) fn give_back(&self) {}
    }
}
