"""Template → plan → apply: CloudFormation and SAM applications, deployed into this platform.

``load``, ``parameters``, ``extensions``, ``transform``, ``intrinsics``, ``check`` and ``plan`` are pure: values in,
values out. ``build`` reads and writes folders. ``prepare`` strings them together in a process of its own, so that the
server never imports the translator; ``apply`` and ``applications`` carry the plan out on the platform.
"""
