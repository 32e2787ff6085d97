/// What servers of a cluster do: one of a shard, one or more of a server.
public enum ServerRole: String, Sendable, CaseIterable { case web, database, dns, email, valkey, s3, lb }
