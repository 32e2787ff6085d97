import AgentProtocol
import Model

/// What an agent must remember of a service across its own death. Written before the effects that it announces.
struct ServiceMemory: Codable, Sendable, Equatable {
    var serviceId: String
    var name: String
    /// Instances that were, or are about to be, started; each entry is written before its unit.
    var instances: [InstanceRecord] = []
    /// What the edge should send requests to; nil until the first switch.
    var serving: Serving?
    /// The deployment that failed last, and why. It is not tried again until another one is asked for.
    var failed: FailedDeployment?
    /// True while a fixed port changes hands: the edge holds requests.
    var isHolding = false
    /// Release keys in the order of their last use, newest last.
    var releases: [String] = []
    /// Account that was made for the service.
    var account: String?
    /// Progress of the deployment under way or last finished.
    var report: DeploymentReport?
    /// Whether the container engine may hold something of the service.
    var usesContainers: Bool?
    /// Nil while it runs as usual.
    var sleep: SleepState?
}

/// Of a service that is stopped when nobody asks for it. The edge holds requests in both states.
enum SleepState: String, Codable, Sendable {
    /// Its instances are stopped, or are about to be.
    case asleep
    /// Its instances are started, and get requests once they are healthy.
    case waking
}

/// A process of a release.
struct InstanceRecord: Codable, Sendable, Equatable {
    var unitId: String
    var deploymentId: String
    var release: String
    var runKey: String
    var index: Int
    var port: Int
    /// What events have said of it, so that each transition is told once, also one that an agent's own end hid.
    var told: ToldState?
    /// Label that everything of the instance has in the container engine, `name=value`; nil for a process.
    var engineLabel: String?
}

struct ToldState: Codable, Sendable, Equatable {
    var restarts = 0
    var isCrashLoop = false
    var isUnhealthy = false
}

/// What serves: a copy of the service as it was switched to, so that it can be started again without the hub.
struct Serving: Codable, Sendable, Equatable {
    var service: DesiredService
    var release: String
    var runKey: String
    var unitIds: [String]
}

struct FailedDeployment: Codable, Sendable, Equatable {
    var deploymentId: String
    var message: String
}
