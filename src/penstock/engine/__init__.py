"""What all services share: operations, delivery, sources, the journal, quiet. Knows no AWS service and no HTTP."""
