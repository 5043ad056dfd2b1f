"""The audit: everything that is stored, checked from the genesis file by someone who trusts nobody."""

from node.audit.report import AuditReport, Offence

__all__ = ["AuditReport", "Offence"]
