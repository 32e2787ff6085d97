import Glibc
import Model
import ResourceKit

/// `roost upload`: a folder or an archive as the next release.
enum UploadCommand {
    static let command = CommandDeclaration(
        "upload", "Deploy a folder or an archive as the next release of a service.",
        discussion: "For sites and applications that are built elsewhere. Ends with an error when the deployment\n"
            + "fails; the release before it goes on serving.",
        parameters: [
            ParameterDeclaration("SERVICE", "Name or id of the service."),
            ParameterDeclaration("PATH", "A folder, or a tar, tar.gz or zip archive."),
        ],
        options: .all(
            [
                OptionDeclaration(
                    "stack", placeholder: "NAME",
                    "Stack of the service; needed only where several have one of this name."), .plan,
            ], .wait, [.json], .connection), run: run)

    private static func run(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let scope = invocation.arguments.value("stack").map { ["stack": $0] } ?? [:]
        let kind = try invocation.kind("service")
        let service = try await directory.resolve(kind, try invocation.required("SERVICE"), scope: scope)
        let archive = try LocalArchive.open(try invocation.required("PATH"))
        defer { archive.discard() }
        let path = "\(directory.itemPath(kind, service.id))/upload"
        let query = invocation.isPlan ? [("plan", "true")] : []
        let terminal = invocation.terminal
        let size = ByteCount.text(archive.sizeBytes)
        let answer = try await directory.client.upload(path, query: query, archive) { sent in
            guard terminal.isInteractive else { return }
            terminal.rawNote("\r\u{1B}[2KUploaded \(ByteCount.text(sent)) of \(size)")
        }
        if terminal.isInteractive { terminal.rawNote("\r\u{1B}[2K") }
        let verbs = KindVerbs(kind: kind, invocation: invocation)
        if invocation.isPlan { return try await verbs.showPlan(answer.body, directory) }
        try await verbs.finish(
            answer, answers: "deployment", done: "Uploaded \(size):", about: service.title, directory)
    }
}

/// What is to be uploaded: an archive as it is, or one made of a folder.
struct LocalArchive: Sendable {
    let path: String
    let sizeBytes: Int64
    private let isTemporary: Bool

    /// - Throws: `not_found`; `work_failed` when tar(1) cannot pack the folder.
    static func open(_ path: String) throws(Problem) -> LocalArchive {
        var info = stat()
        guard stat(path, &info) == 0 else {
            throw Problem(.notFound, "\(printable(path)) cannot be read: \(String(cString: strerror(errno))).")
        }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            return LocalArchive(path: path, sizeBytes: Int64(info.st_size), isTemporary: false)
        }
        let archive = try temporaryFile()
        do {
            try pack(path, into: archive)
        } catch {
            unlink(archive)
            throw error
        }
        guard stat(archive, &info) == 0 else { throw Problem(.workFailed, "The packed folder is gone.") }
        return LocalArchive(path: archive, sizeBytes: Int64(info.st_size), isTemporary: true)
    }

    func discard() { if isTemporary { unlink(path) } }

    private static func temporaryFile() throws(Problem) -> String {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(folder)/roost-upload-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw Problem(.storage, "No file can be made in \(folder): \(String(cString: strerror(errno))).")
        }
        close(descriptor)
        return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// Version control and editors' leftovers are nobody's site.
    private static func pack(_ folder: String, into archive: String) throws(Problem) {
        let words = ["tar", "--create", "--gzip", "--exclude-vcs", "--file", archive, "--directory", folder, "."]
        var argv = words.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, "tar", nil, nil, &argv, environ)
        guard code == 0 else {
            throw Problem(.workFailed, "tar cannot be started: \(String(cString: strerror(code))).")
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw Problem(.workFailed, "tar could not pack \(printable(folder)).") }
    }
}
