"""State a control problem as a paper states it, solve it, ask how far to trust it, draw it."""

# %%
from pathlib import Path

import casadi as ca

import ocnet as oc

out = Path("out")
out.mkdir(exist_ok=True)

# %% The problem
problem = oc.Problem("van der Pol", horizon=oc.Finite(10.0))
x = problem.state("x", 2, initial=[0.0, 1.0])
force = problem.control("force", lower=-0.3, upper=1.0)
problem.dynamics(x, ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + force, x[0]))
problem.minimize(stage=ca.sumsqr(x) + force**2)
print(problem)

# %% The solution, with its status and error estimates
solution = oc.solve(problem, oc.Collocation(intervals=40, degree=3))
print(solution)

# %% The certificate: an independent integration of states, costates and cost
print(solution.certificate)

# %% Figures
oc.plot.trajectories(solution).savefig(out / "van_der_pol.png", dpi=150)
oc.plot.hamiltonian(solution).savefig(out / "van_der_pol_hamiltonian.png", dpi=150)
oc.plot.mesh(solution).savefig(out / "van_der_pol_mesh.png", dpi=150)
oc.plot.phase(solution, "x[0]", "x[1]", field=True).savefig(out / "van_der_pol_phase.png", dpi=150)
