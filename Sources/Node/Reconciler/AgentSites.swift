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
                    let isChanged = try await sites.keep(
                        document, tlsAddress: edgeListeners(document).tlsAddress,
                        generation: edgeUnit.withLock { $0.generation })
                    if isChanged { changed.notify() }
                } catch {
                    return
                }
            }
            var isBusy = document?.sites?.isEmpty == false
            if !isBusy { isBusy = await sites.isPurging }
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
