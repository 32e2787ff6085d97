import Glibc

/// Which reader of strangers' bytes is fed; named by FUZZ_TARGET.
private let target: @Sendable (UnsafeBufferPointer<UInt8>) -> Void = {
    switch String(cString: getenv("FUZZ_TARGET")) {
    case "request-head": fuzzRequestHead
    case "response-head": fuzzResponseHead
    case "chunks": fuzzChunks
    case "names": fuzzNames
    default: fatalError("FUZZ_TARGET is request-head, response-head, chunks or names")
    }
}()

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count > 0 else { return 0 }
    target(UnsafeBufferPointer(start: start, count: count))
    return 0
}

/// Ends the run with what does not hold; libFuzzer keeps the input.
func hold(_ condition: Bool, _ what: StaticString) {
    if !condition { fatalError("\(what)") }
}

/// A copy of exactly these bytes, so that a read beyond them is seen.
func withExactCopy<T>(_ bytes: some Collection<UInt8>, _ body: (UnsafePointer<UInt8>, Int) -> T) -> T {
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
    defer { copy.deallocate() }
    var at = 0
    for byte in bytes {
        copy[at] = byte
        at += 1
    }
    return body(copy, bytes.count)
}
