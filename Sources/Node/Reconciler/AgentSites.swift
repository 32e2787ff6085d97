import AgentProtocol
import Certificates
import Host
import Logging
import Model
import Synchronization

/// Sites, as part of the agent's work.
extension Agent {
    /// How often containers and listeners are looked at while there are sites.
    private static let sitesPause: Duration = .seconds(2)

    /// Notes the sites of the kept document, so that the first table has them.
    func noteSites() async {
        guard let document = await keeper.current else { return }
        do {
            try await sites.note(document, tlsAddress: edgeListeners(document).tlsAddress)
        } catch {
            // What is wrong stays so, and is reported by the loop below.
            logger.warning("the kept sites could not be read", metadata: ["error": "\(error)"])
        }
    }

    func keepSites() async {
        while !Task.isCancelled {
            let document = await keeper.current
            if let document {
                do {
                    // What is wanted, not what runs: the edge with an address for TLS may still be to come.
                    let before = try await JSONFile.read(EdgeListeners.self, paths.edgeConfiguration, host.files)
                    let wanted = edgeListeners(document, after: before)
                    let isChanged = try await sites.keep(
                        document, tlsAddress: wanted.tlsAddress, generation: wanted.generation ?? 1)
                    if isChanged { changed.notify() }
                } catch let problem as Problem {
                    logger.warning("the sites could not be kept", metadata: ["error": "\(problem)"])
                } catch {
                    return
                }
            }
            var isBusy = document?.sites?.isEmpty == false
            if !isBusy { isBusy = await sites.isForgetting }
            await sitesChanged.wait(atMost: isBusy ? Self.sitesPause : .seconds(30), host.clock)
        }
    }

    func keepCertificates() async {
        do {
            try await sites.certificates.run { [sites, sitesChanged] report in
                await sites.note(report)
                sitesChanged.notify()
            }
        } catch {
            // Only the end of the agent ends it.
        }
    }
}
