#pragma once

/// Gives back what the process has mapped of its code, libraries included. It is read again from the files, a page here
/// and there, when it is used again; what was only needed to start stays away.
void croost_forget_code(void);
