"""What the scenarios share: worlds of real processes, repositories, applications, load."""
