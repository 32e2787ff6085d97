import Glibc
import Model

/// The last failed system call as a problem.
func systemProblem(_ call: String, _ path: String, code: Int32 = errno) -> Problem {
    let reason = String(cString: strerror(code))
    let isFull = code == ENOSPC || code == EDQUOT
    return Problem(
        .storage, isFull ? "The disk that holds \(path) is full." : "\(path): \(reason).",
        hint: isFull ? "Make room, then try again." : nil, context: "\(call) \(path): \(reason) (\(code))")
}
