/// A hash table from byte strings to small numbers that is asked with bytes in place: no string is made on a lookup.
struct ByteIndex: Sendable {
    private var slots: [Int32]
    private var keys: [[UInt8]] = []
    private var values: [Int32] = []
    private var mask: Int

    init() {
        slots = Array(repeating: -1, count: 8)
        mask = 7
    }

    var isEmpty: Bool { keys.isEmpty }

    static let hashSeed: UInt64 = 0xCBF2_9CE4_8422_2325

    /// One step of FNV-1a; the caller may go on from a hash it has, to ask for ever longer prefixes.
    @inline(__always)
    static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }

    static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(hashSeed) { hash($0, $1) } }

    /// Adds a key unless it is there.
    /// - Returns: whether it was added.
    mutating func insert(_ key: [UInt8], _ value: Int32) -> Bool {
        let found = key.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { find($0, buffer.count, Self.hash(key)) } ?? nil
        }
        guard found == nil else { return false }
        if keys.count * 2 >= slots.count { grow() }
        place(Int32(keys.count), Self.hash(key))
        keys.append(key)
        values.append(value)
        return true
    }

    @inline(__always)
    func find(_ bytes: UnsafePointer<UInt8>, _ count: Int, _ hash: UInt64) -> Int32? {
        var slot = Self.spread(hash) & mask
        while slots[slot] >= 0 {
            let index = Int(slots[slot])
            if keys[index].count == count, equals(keys[index], bytes, count) { return values[index] }
            slot = (slot &+ 1) & mask
        }
        return nil
    }

    private func equals(_ key: [UInt8], _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for index in 0..<count where key[index] != bytes[index] { return false }
        return true
    }

    /// FNV leaves its low bits weak.
    @inline(__always)
    private static func spread(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash ^ hash &>> 29 ^ hash &>> 47) }

    private mutating func place(_ index: Int32, _ hash: UInt64) {
        var slot = Self.spread(hash) & mask
        while slots[slot] >= 0 { slot = (slot + 1) & mask }
        slots[slot] = index
    }

    private mutating func grow() {
        mask = slots.count * 2 - 1
        slots = Array(repeating: -1, count: slots.count * 2)
        for (index, key) in keys.enumerated() { place(Int32(index), Self.hash(key)) }
    }
}
