#pragma once

/// Gives back what the caller's executable has mapped of its code. It is read again from the file, a page here and
/// there, when it is used again; what was only needed to start stays away.
void croost_forget_code(void);
