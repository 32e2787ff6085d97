import Glibc
import NIOCore

/// What folders with a plan do beyond sending the file that was named.
extension ClientConnection {
    /// A file to send, and how.
    struct StaticChoice {
        var path: [UInt8]
        /// The name that tells the type; of the file itself when its compressed sibling is sent.
        var named: [UInt8]
        var encoding: StaticPlan.Encoding?
        var status: UInt16 = 200
    }

    /// Serves `path` below the folder by its plan.
    /// - Returns: false when a folder was named without its slash.
    func serve(
        _ folder: StaticFolder, _ plan: StaticPlan, path: [UInt8], _ conditions: StaticAnswer.Conditions
    ) -> Bool {
        let encodings = plan.usesPrecompressed ? StaticPlan.accepted(fieldValue("accept-encoding") ?? []) : []
        switch send(folder, plan, path, 200, encodings, conditions) {
        case .sent: return true
        case .folderWithoutSlash: return false
        case .missing: break
        }
        let accept = fieldValue("accept").map { String(decoding: $0, as: UTF8.self).lowercased() } ?? ""
        if let fallback = plan.fallback, accept.contains("text/html"),
            send(folder, plan, fallback, 200, encodings, conditions) == .sent
        {
            return true
        }
        if let page = plan.notFoundPage, !(accept.contains("json") && !accept.contains("html")),
            send(folder, plan, page, 404, encodings, StaticAnswer.Conditions()) == .sent
        {
            return true
        }
        answerAndConsume(AnswerPage(status: 404))
        return true
    }

    private enum Outcome { case sent, folderWithoutSlash, missing }

    private func send(
        _ folder: StaticFolder, _ plan: StaticPlan, _ path: [UInt8], _ status: UInt16,
        _ encodings: [StaticPlan.Encoding], _ conditions: StaticAnswer.Conditions
    ) -> Outcome {
        let named = path.last == ByteClass.slash ? path + Array("index.html".utf8) : path
        for encoding in encodings {
            let choice = StaticChoice(path: named + encoding.suffix, named: named, encoding: encoding, status: status)
            if open(folder, plan, choice, conditions) == .sent { return .sent }
        }
        return open(folder, plan, StaticChoice(path: path, named: named, status: status), conditions)
    }

    private func open(
        _ folder: StaticFolder, _ plan: StaticPlan, _ choice: StaticChoice, _ conditions: StaticAnswer.Conditions
    ) -> Outcome {
        let key = StaticFileCache.Key(folder: folder.path, path: choice.path)
        let now = request.startedAt
        if choice.encoding != nil, loop.files.isAbsent(key, now: now) { return .missing }
        staticFields = plan.fields(for: choice.named, encoding: choice.encoding)
        staticStatus = choice.status
        staticType = MediaTypes.type(ofFile: String(decoding: choice.named, as: UTF8.self))
        defer {
            staticFields = ""
            staticStatus = 200
            staticType = nil
        }
        if let entry = loop.files.find(key, now: now) {
            consumeHead()
            send(entry, conditions)
            return .sent
        }
        switch folder.open(choice.path) {
        case .missing:
            if choice.encoding != nil { loop.files.noteAbsent(key, now: now) }
            return .missing
        case .folderWithoutSlash: return choice.encoding == nil ? .folderWithoutSlash : .missing
        case .file(let file) where file.size <= StaticFileCache.fileBytesMax:
            let entry = loop.files.load(file, key, now: now)
            Glibc.close(file.descriptor)
            if let entry {
                consumeHead()
                send(entry, conditions)
            } else {
                answerAndConsume(AnswerPage(status: 500))
            }
            return .sent
        case .file(let file):
            consumeHead()
            send(file, conditions)
            return .sent
        }
    }
}
