"""How an asset came to be, in the hosted service's words. Source: the literal types of `scenario-sdk` 2.4.0."""

_WORDS = """
    3d-texture 3d-texture-albedo 3d-texture-metallic 3d-texture-mtl 3d-texture-normal 3d-texture-roughness 3d23d
    3d23d-texture audio2audio audio2txt audio2video background-removal canvas canvas-drawing canvas-export
    detection generative-fill image-prompt-editing img23d img2img img2splat img2txt img2video inference-controlnet
    inference-controlnet-img2img inference-controlnet-inpaint inference-controlnet-inpaint-ip-adapter
    inference-controlnet-ip-adapter inference-controlnet-reference inference-controlnet-texture inference-img2img
    inference-img2img-ip-adapter inference-img2img-texture inference-inpaint inference-inpaint-ip-adapter
    inference-reference inference-reference-texture inference-txt2img inference-txt2img-ip-adapter
    inference-txt2img-texture patch pixelization reframe restyle segment segmentation-image segmentation-mask
    skybox-3d skybox-base-360 skybox-hdri texture texture-albedo texture-ao texture-edge texture-height
    texture-metallic texture-normal texture-smoothness txt23d txt2audio txt2img txt2txt txt2video unknown uploaded
    uploaded-3d uploaded-audio uploaded-avatar uploaded-text uploaded-video upscale upscale-skybox upscale-texture
    upscale-video vectorization video23d video2audio video2img video2txt video2video voice-clone
"""

ASSET_TYPES = frozenset(_WORDS.split())

UPLOADED_AS = {
    "3d": "uploaded-3d",
    "audio": "uploaded-audio",
    "document": "uploaded",
    "image": "uploaded",
    "image-hdr": "uploaded",
    "json": "uploaded",
    "text": "uploaded-text",
    "video": "uploaded-video",
}
"""The type, and the source, of an uploaded file by its kind."""
