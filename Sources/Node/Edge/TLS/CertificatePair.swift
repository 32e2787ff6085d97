import Glibc
import Model
import NIOCore
import NIOSSL

/// A certificate with its key, ready to be shown.
struct CertificatePair: Sendable {
    static let fileBytesMax = 1024 * 1024

    let context: NIOSSLContext
    let notAfter: Timestamp
    /// Which files, as they were when they were read.
    let stamps: [FileStamp]

    /// Reads both files. Blocks: never called on an event loop.
    /// - Throws: `invalid` that says what is wrong with the files; nothing of their content.
    init(certificatePath: String, keyPath: String) throws(Problem) {
        let (chainBytes, chainStamp) = try Self.read(certificatePath, isSecret: false)
        let (keyBytes, keyStamp) = try Self.read(keyPath, isSecret: true)
        stamps = [chainStamp, keyStamp]
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMBytes(chainBytes)
        } catch {
            throw Problem(.invalid, "\(certificatePath) holds no certificate in PEM form.")
        }
        guard let leaf = chain.first else {
            throw Problem(.invalid, "\(certificatePath) holds no certificate in PEM form.")
        }
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(bytes: keyBytes, format: .pem)
        } catch {
            throw Problem(.invalid, "\(keyPath) holds no private key in PEM form without a passphrase.")
        }
        notAfter = Timestamp(millisecondsSinceEpoch: Int64(leaf.notValidAfter) * 1000)
        do {
            context = try NIOSSLContext(configuration: Self.configuration(chain, key))
        } catch {
            throw Problem(.invalid, "The key in \(keyPath) is not that of the certificate in \(certificatePath).")
        }
    }

    /// TLS 1.2 and 1.3 with ciphers that keep old traffic secret and authenticate what they encrypt.
    private static func configuration(_ chain: [NIOSSLCertificate], _ key: NIOSSLPrivateKey) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuiteValues = [
            .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ]
        configuration.applicationProtocols = ["h2", "http/1.1"]
        configuration.shutdownTimeout = .seconds(2)
        return configuration
    }

    /// The same files, untouched since.
    func isCurrent(certificatePath: String, keyPath: String) -> Bool {
        stamps == [FileStamp(certificatePath), FileStamp(keyPath)]
    }

    private static func read(_ path: String, isSecret: Bool) throws(Problem) -> ([UInt8], FileStamp) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw Problem(.invalid, "\(path) cannot be read: \(String(cString: strerror(errno))).")
        }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw Problem(.invalid, "\(path) is not a file.")
        }
        guard !isSecret || info.st_mode & 0o077 == 0 else {
            throw Problem(.invalid, "\(path) may be read by others than its owner.", hint: "Make its mode 0600.")
        }
        guard info.st_size <= fileBytesMax else { throw Problem(.invalid, "\(path) is too large.") }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax + 1)
        var count = 0
        while count < bytes.count {
            let step = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + count, $0.count - count)
            }
            if step < 0, errno == EINTR { continue }
            guard step >= 0 else {
                throw Problem(.invalid, "\(path) cannot be read: \(String(cString: strerror(errno))).")
            }
            if step == 0 { break }
            count += step
        }
        return (Array(bytes[..<count]), FileStamp(path, info))
    }
}

/// Tells whether a file is still the one that was read.
struct FileStamp: Sendable, Equatable {
    let path: String
    let inode: UInt64
    let sizeBytes: Int64
    let modifiedNanoseconds: Int64

    init(_ path: String, _ info: stat) {
        self.path = path
        inode = UInt64(info.st_ino)
        sizeBytes = Int64(info.st_size)
        modifiedNanoseconds = Int64(info.st_mtim.tv_sec) * 1_000_000_000 + Int64(info.st_mtim.tv_nsec)
    }

    /// As it is now; nil when there is none.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        self.init(path, info)
    }
}
