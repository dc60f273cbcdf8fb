"""Adam in Keras's form, p -= lr_t * m / (sqrt(v) + epsilon) with lr_t = lr * sqrt(1 - b2^t) / (1 - b1^t). All
of it is on the device, so each launch of a captured step is right.

torch.optim.Adam adds epsilon after v's bias correction. At a step count so large that both its corrections
are 1, it has exactly Keras's form, with the learning rate of its tensor lr. So its fused kernel serves.
"""
import torch

CORRECTED = 1e9  # step count with b^t = 0 in floating point; float(1e9 + 1) == 1e9


class LearningRate:
    """lr_t from a table, in one small kernel a step."""

    def __init__(self, device, lr, beta1, beta2, steps=20000):
        t = torch.arange(1, steps + 1, dtype=torch.float64)
        self.table = (lr * (1 - beta2**t).sqrt() / (1 - beta1**t)).float().to(device)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.value = torch.zeros(1, device=device)

    def next(self):
        torch.index_select(self.table, 0, self.t, out=self.value)
        self.t.add_(1).clamp_(max=len(self.table) - 1)


class FusedAdam:
    """torch.optim.Adam, fused and (on a GPU) capturable, over fp32 parameters."""

    def __init__(self, parameters, lr, beta1=0.9, beta2=0.999, epsilon=1e-7):
        self.parameters = list(parameters)
        device = self.parameters[0].device
        self.lr = LearningRate(device, lr, beta1, beta2)
        capturable = device.type == "cuda"
        options = dict(lr=self.lr.value, betas=(beta1, beta2), eps=epsilon, fused=True, capturable=capturable)
        self.adam = torch.optim.Adam(self.parameters, **options)
        for p in self.parameters:
            step = torch.tensor(CORRECTED, dtype=torch.float32, device=device)
            moments = {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
            self.adam.state[p] = {"step": step, **moments}

    def step(self):
        self.lr.next()
        self.adam.step()

    def state(self):
        moments = [s[name] for s in self.adam.state.values() for name in ("exp_avg", "exp_avg_sq")]
        return [self.lr.t, *(p.detach() for p in self.parameters), *moments]


def adam_of_list_(master, weights, m, v, grads, lr, beta1, beta2, epsilon):
    """The same over lists: inductor makes a few kernels, which read each array once, in place."""
    g = [x.float() for x in grads]
    torch._foreach_mul_(m, beta1)
    torch._foreach_add_(m, g, alpha=1 - beta1)
    torch._foreach_mul_(v, beta2)
    torch._foreach_addcmul_(v, g, g, 1 - beta2)
    root = torch._foreach_sqrt(v)
    torch._foreach_add_(root, epsilon)
    moved = torch._foreach_div(m, root)
    torch._foreach_mul_(moved, lr[0])
    torch._foreach_sub_(master, moved)
    if weights is not None:
        torch._foreach_copy_(weights, master)


def adam_(master, weight, m, v, grad, lr, beta1, beta2, epsilon):
    """One compiled kernel that reads each array once: 28 bytes a parameter with bf16 weights and
    gradients."""
    g = grad.float()
    m.copy_(beta1 * m + (1 - beta1) * g)
    v.copy_(beta2 * v + (1 - beta2) * g * g)
    master.sub_(lr * m / (v.sqrt() + epsilon))
    if weight is not None:
        weight.copy_(master)


class FlatAdam:
    """All parameters in one flat array of fp32 master weights, and for bf16 one of weights; the model's
    parameters are views of it. Compiled, gradients are read in place (adam_of_list_). With `gather` a
    multi-tensor copy puts them into a flat array, 4 bytes a parameter more, for one kernel without lists
    (adam_). Only a GPU can show which is faster, so both are measured. Not compiled, torch.optim.Adam, fused,
    updates the flat array; it needs gradients of its parameters' type."""

    def __init__(self, parameters, dtype, compiled, lr, gather=False, beta1=0.9, beta2=0.999, epsilon=1e-7):
        self.parameters, self.compiled, self.gather = list(parameters), compiled, gather or not compiled
        sizes = [p.numel() for p in self.parameters]
        assert all(n % 8 == 0 for n in sizes), "views would not be aligned to 16 bytes"
        flat = torch.cat([p.detach().float().flatten() for p in self.parameters])
        self.master = flat
        self.weight = flat if dtype == torch.float32 else flat.to(dtype)
        if self.gather:
            kind = dtype if compiled else torch.float32
            self.grad = torch.zeros(sum(sizes), dtype=kind, device=flat.device)
            self.grads = [g.view_as(p) for g, p in zip(self.grad.split(sizes), self.parameters)]
        for p, view in zip(self.parameters, self.weight.split(sizes)):
            p.data = view.view_as(p)
        if compiled:
            self.lr = LearningRate(flat.device, lr, beta1, beta2)
            self.m, self.v = torch.zeros_like(flat), torch.zeros_like(flat)
            self.settings = beta1, beta2, epsilon
            self.update = compiled(adam_ if gather else adam_of_list_)
            arrays = [self.master, None if self.weight is self.master else self.weight, self.m, self.v]
            self.arrays = arrays if gather else [x if x is None else x.split(sizes) for x in arrays]
        else:
            leaf = torch.nn.Parameter(flat)  # shares flat's memory
            leaf.grad = self.grad
            self.adam = FusedAdam([leaf], lr, beta1, beta2, epsilon)

    @torch.no_grad()
    def step(self):
        grads = [p.grad for p in self.parameters]
        if self.gather:
            torch._foreach_copy_(self.grads, grads)
            grads = self.grad
        if self.compiled:
            self.lr.next()
            grads = grads if self.gather else [g.flatten() for g in grads]
            self.update(*self.arrays, grads, self.lr.value, *self.settings)
        else:
            self.adam.step()
            if self.weight is not self.master:
                self.weight.copy_(self.master)

    def state(self):
        state = [self.lr.t, self.master, self.m, self.v] if self.compiled else self.adam.state()
        return state if self.weight is self.master else [*state, self.weight]

    def master_weights(self):
        """The fp32 values of every parameter."""
        pieces = self.master.split([p.numel() for p in self.parameters])
        return [piece.view_as(p) for piece, p in zip(pieces, self.parameters)]
