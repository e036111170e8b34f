"""Neural ODEs: vector fields, compiled integration, and the exact adjoint of the steps taken."""
